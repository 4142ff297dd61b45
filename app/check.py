"""The command `helmetwatch check`: looks for what is missing, or set so that messages would be lost."""

import ctypes
import email.utils
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.check_desk import desk_findings
from app.findings import Finding, Level, broker_findings
from core.clock import SystemClock
from core.config import Config, ConfigError, load, secret
from storage import StoreError, open_store
from web.worker_token import check_token

_Y2024_US = 1_704_067_200_000_000
_SKEW_WARNING_S = 2.0
_SKEW_ERROR_S = 30.0
_MB = 2**20
_COLOUR = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file; without it config.yaml in this folder, or else the defaults.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def check(config_path: Path | None, as_json: bool) -> None:
    """Look at the configuration and everything it names, and say what to do about what is wrong.

    Nothing is changed; the broker gets a few test messages that only this command reads, and keeps one, by which a
    later check sees whether what it keeps outlives a restart. Exit code 0: all well, or warnings only; 1: something has
    to be mended.
    """
    findings = list(examine(config_path, SystemClock().now_us()))
    worst: Level = "ok"
    for level in ("warning", "error"):
        worst = level if any(finding.level == level for finding in findings) else worst
    if as_json:
        click.echo(
            json.dumps({"result": worst, "findings": [asdict(f) for f in findings]}, ensure_ascii=False)
        )
    else:
        _show(findings, worst)
    sys.exit(1 if worst == "error" else 0)


def examine(config_path: Path | None, now_us: int) -> Iterator[Finding]:
    """Everything there is to find, in the order in which a person would mend it."""
    if config_path is None and Path("config.yaml").is_file():
        config_path = Path("config.yaml")
    try:
        config = load(config_path)
    except ConfigError as error:
        for fault in error.faults:
            yield Finding("configuration", "error", fault, "mend this line and check again")
        return
    yield Finding("configuration", "ok", f"{config_path or 'the defaults'}: every option is valid")
    yield from _clock(config, now_us)
    yield from _token(config)
    yield from _disk(config)
    yield from _store(config)
    yield from broker_findings(config, now_us)
    yield from _desk(config, now_us)
    yield from desk_findings(config)


def _clock(config: Config, now_us: int) -> Iterator[Finding]:
    if now_us < _Y2024_US:
        yield Finding(
            "clock",
            "error",
            "this machine believes it is before 2024",
            "set the clock (timedatectl set-ntp true): frames would all be dated by their arrival, a wrong time",
        )
    else:
        yield _synchronised()
    if config.time.scale != 1:
        yield Finding(
            "clock",
            "warning",
            f"time.scale is {config.time.scale:g}: time runs faster than real time",
            "right for replays; set it to 1 for real helmets",
        )


def _synchronised() -> Finding:
    """Asks the kernel (adjtimex) whether anything keeps its clock right."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    # struct timex is 208 bytes on 64-bit Linux; all zero asks and sets nothing.
    state = -1 if adjtimex is None else adjtimex(ctypes.create_string_buffer(512))
    if state < 0:
        return Finding("clock", "ok", "this system does not say whether its clock is synchronised")
    if state == 5:  # TIME_ERROR
        return Finding(
            "clock",
            "warning",
            "nothing keeps this machine's clock right",
            "install chrony or systemd-timesyncd (in a container: on the host): lateness is measured by it",
        )
    return Finding("clock", "ok", "the clock is synchronised")


def _token(config: Config) -> Iterator[Finding]:
    try:
        check_token(secret("HELMETWATCH_DESK_TOKEN", config.web.token_file))
    except ConfigError as error:
        for fault in error.faults:
            yield Finding(
                "token", "error", fault, "worker and desk need the same token, of at least 16 characters"
            )
        return
    yield Finding("token", "ok", "worker and desk have a token that is long enough")
    names = {
        "web.token_file": config.web.token_file,
        "ingest.mqtt.password_file": config.ingest.mqtt.password_file,
        "storage.influxdb.token_file": config.storage.influxdb.token_file,
    }
    for option, file in names.items():
        if file and Path(file).is_file() and Path(file).stat().st_mode & 0o077:
            yield Finding("token", "warning", f"{option}: others may read {file}", f"chmod 600 {file}")


def _disk(config: Config) -> Iterator[Finding]:
    journal = Path(config.ingest.journal.path)
    for option, path in (("ingest.journal.path", journal), ("alerts.path", Path(config.alerts.path))):
        fault = _unwritable(path)
        if fault:
            yield Finding("disk", "error", f"{option}: {fault}", "let the service's user write there")
    free_mb = shutil.disk_usage(_existing(journal)).free // _MB
    needed_mb = config.ingest.journal.max_mb
    if free_mb < 256:
        yield Finding("disk", "error", f"{free_mb} MB are free for the journal", "free some space")
    elif free_mb < needed_mb:
        yield Finding(
            "disk",
            "warning",
            f"{free_mb} MB are free, but the journal may grow to {needed_mb} MB",
            "free some space or lower ingest.journal.max_mb",
        )
    else:
        yield Finding("disk", "ok", f"{free_mb} MB are free for a journal of at most {needed_mb} MB")


def _existing(path: Path) -> Path:
    """The file, or the nearest folder above it that is there."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _unwritable(path: Path) -> str:
    """Why a file could not be written, or nothing. Makes no file: it would belong to whoever runs the check."""
    place = _existing(path)
    if place == path.absolute():
        return "" if place.is_file() and os.access(place, os.R_OK | os.W_OK) else f"{place} cannot be written"
    return "" if place.is_dir() and os.access(place, os.W_OK | os.X_OK) else f"no file can be made in {place}"


def _store_size(config: Config) -> Iterator[Finding]:
    """Whether the embedded store may grow to its bound; a full disk stops everything, a full store nothing."""
    path, most_mb = Path(config.storage.embedded.path), config.storage.embedded.max_mb
    has_mb = path.stat().st_size // _MB if path.is_file() else 0
    free_mb = shutil.disk_usage(_existing(path)).free // _MB
    if has_mb + free_mb < most_mb:
        yield Finding(
            "store",
            "warning",
            f"the telemetry store has {has_mb} MB and may grow to {most_mb} MB, but {free_mb} MB are free",
            "free some space or lower storage.embedded.max_mb; the oldest telemetry then goes sooner",
        )


def _store(config: Config) -> Iterator[Finding]:
    embedded = Path(config.storage.embedded.path)
    if config.storage.kind == "embedded":
        yield from _store_size(config)
    if config.storage.kind == "embedded" and not embedded.exists():
        fault = _unwritable(embedded)
        if fault:
            yield Finding(
                "store", "error", f"storage.embedded.path: {fault}", "let the service's user write there"
            )
        else:
            yield Finding("store", "ok", f"the worker will make {embedded}")
        return
    try:
        store = open_store(config.storage)
        try:
            yield Finding("store", "ok", f"telemetry can be written: {store.check()}")
        finally:
            store.close()
    except (StoreError, ConfigError) as error:
        advice = "telemetry waits in the journal until this is mended; alerts do not need the store"
        yield Finding("store", "error", str(error), advice)


def _desk(config: Config, now_us: int) -> Iterator[Finding]:
    url = f"{config.ingest.desk_url.rstrip('/')}/healthz"
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("not an http address")
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            status, date = answer.status, answer.headers.get("Date", "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        yield Finding(
            "desk",
            "error",
            f"no desk at {url}: {reason}",
            "start it (helmetwatch desk), or mend ingest.desk_url; detections wait in the journal until then",
        )
        return
    yield Finding("desk", "ok", f"{url} answers {status}")
    try:
        desk_s = email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    # The header has whole seconds, cut off: on average the desk is half a second further.
    skew_s = abs(now_us / 1e6 - desk_s - 0.5)
    if skew_s > _SKEW_WARNING_S:
        yield Finding(
            "clock",
            "error" if skew_s > _SKEW_ERROR_S else "warning",
            f"this machine's clock and the desk's differ by {skew_s:.0f} s",
            "synchronise both: countdowns and lateness are measured by them",
        )


def _show(findings: list[Finding], worst: Level) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        # As plain text, not markup: some of the words come from servers.
        said = Text(finding.what)
        if finding.advice:
            said.append(f"\n→ {finding.advice}", style="bold")
        table.add_row(Text(finding.level, style=_COLOUR[finding.level]), finding.area, said)
    console.print(table)
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    console.print(f"\n{errors} errors, {warnings} warnings", style=_COLOUR[worst])
