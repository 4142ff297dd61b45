"""`helmetwatch what-if`: what other options of the detector would have said of the alerts that people have judged."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from alerts.database import BookError
from alerts.reader import Reader
from app.services import config_option, fail, read_config
from core.config import Detection as Params
from core.model import Detection, Stage
from detectors import replay

ALERT, QUIET, NO_TRACE = "alert", "quiet", "no trace"
"""What the detector says now; without a trace nobody can tell."""


@click.command("what-if")
@click.option(
    "--set",
    "changes",
    metavar="NAME=VALUE",
    multiple=True,
    required=True,
    help="An option of `detectors` with another value, for example strike_g=14; may be given several times.",
)
@config_option
def what_if(changes: tuple[str, ...], config_path: Path | None) -> None:
    """Say what other options would have made of the alerts in the book, by how people resolved them.

    Each alert's kept trace goes through the detector again. It shows alerts that would have been quiet, real ones too;
    what never was an alert has left no trace and cannot become one here.
    """
    config = read_config(config_path)
    params = _params(config.detectors, changes)
    try:
        reader = Reader(Path(config.alerts.path))
        counts = Counter((label, verdict(found, params)) for label, found in judged(reader))
        reader.close()
    except BookError as error:
        raise fail(str(error)) from None
    table = Table("resolved as", ALERT, QUIET, NO_TRACE, title=", ".join(changes))
    for label in sorted({label for label, _ in counts}):
        table.add_row(label, *(str(counts[label, each]) for each in (ALERT, QUIET, NO_TRACE)))
    Console().print(table if counts else "No alert in the book has been resolved yet.")


def judged(reader: Reader) -> Iterator[tuple[str, Detection | None]]:
    """How people resolved each alert, and the newest version of it that has a trace; drills are none."""
    adapter = TypeAdapter(Detection)
    for label, body in reader.judged():
        yield label, None if body is None else adapter.validate_python(body)


def verdict(found: Detection | None, params: Params) -> str:
    """What the detector says of a kept trace with these options."""
    if found is None or not found.impacts_us:
        return NO_TRACE
    decisions = replay(found, params)
    return ALERT if decisions and decisions[-1].incident.stage is not Stage.CANCELLED else QUIET


def _params(base: Params, changes: tuple[str, ...]) -> Params:
    """The options with the changes. Raises `ClickException` naming what is wrong."""
    given = dict(change.partition("=")[::2] for change in changes)
    unknown = sorted(given.keys() - Params.model_fields.keys())
    if unknown:
        raise fail(f"--set: detectors has no option {', '.join(unknown)}")
    try:
        return Params.model_validate(base.model_dump() | given)
    except ValidationError as error:
        raise fail(*(f"--set {each['loc'][0]}: {each['msg']}" for each in error.errors())) from None
