"""Structured logs on standard error: an event name and its facts, never a payload or a position.

What libraries log, and what ends a thread, comes out the same way.
"""

import contextlib
import logging
import sys
import threading
from typing import TextIO, cast

import structlog

from core import raised


class _Unfailing:
    """Standard error that loses a line rather than the program where the log's disk is full."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


class _Library(logging.Handler):
    """Lines of the standard library's logging, as ours: which library, and the first line of what it says.

    Further lines, asyncio's at least, quote values.
    """

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, object] = {"logger": record.name, "message": record.getMessage().partition("\n")[0]}
        if record.exc_info and record.exc_info[1] is not None:
            facts |= raised.facts(record.exc_info[1])
        structlog.get_logger().log(record.levelno, "library.log", **facts)


def configure(*, verbose: bool = False) -> None:
    """Readable lines on a terminal, one JSON object a line elsewhere."""
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        # Asked for anew each time: whoever replaces standard error (a test does) still gets the lines.
        logger_factory=lambda *_: structlog.PrintLogger(cast(TextIO, _Unfailing())),
    )
    # Libraries say at INFO what ours say better.
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)
    threading.excepthook = _thread_ended


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and not isinstance(what.exc_value, SystemExit):
        name = what.thread.name if what.thread else "?"
        structlog.get_logger().error("thread.ended", thread=name, **raised.facts(what.exc_value))
