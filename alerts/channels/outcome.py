"""What became of one try to send, and what every sender is."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import aiohttp

from alerts.channels.limits import Limit
from alerts.notices import Notice


class Result(StrEnum):
    """How a try ended."""

    DELIVERED = "delivered"
    """The service says that it has taken the message."""
    RETRY = "retry"
    """It may work later, or it worked and the answer was lost."""
    REFUSED = "refused"
    """The same message will never be taken: a wrong address, signature or form."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, the code in the answer that says so, and a sentence without secrets."""

    result: Result
    code: str = ""
    sentence: str = ""
    pause_s: float = 0.0
    """How long the whole channel must be left alone."""


class Sender(Protocol):
    """One configured channel."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    @property
    def kind(self) -> str:
        """Whose protocol it speaks."""
        ...

    @property
    def limits(self) -> tuple[Limit, ...]:
        """How much the service takes."""
        ...

    async def send(self, notice: Notice, http: aiohttp.ClientSession, now_us: int) -> Outcome:
        """Tries once, for at most a few seconds; raises nothing that a network can cause."""
        ...


def sending() -> ThreadPoolExecutor:
    """Threads for one channel whose library blocks.

    Its own: a service that hangs must take them neither from another channel of its kind, nor those that name
    look-ups and the desk itself wait for.
    """
    return ThreadPoolExecutor(8, thread_name_prefix="channel")


def delivered(code: str = "") -> Outcome:
    """The service has it."""
    return Outcome(Result.DELIVERED, code)


def retry(code: str, sentence: str, pause_s: float = 0.0) -> Outcome:
    """Worth another try."""
    return Outcome(Result.RETRY, code, sentence, pause_s)


def refused(code: str, sentence: str) -> Outcome:
    """Never."""
    return Outcome(Result.REFUSED, code, sentence)
