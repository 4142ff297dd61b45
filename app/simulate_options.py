"""What `helmetwatch simulate` can be asked for: which options go with what, how they are written and shown."""

import csv
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

_FLEET = {"seed", "duration_s", "ledger", "record", "prefix", "connections", "as_json"}
_DRAWN = {"helmets", "crashes_per_hour", "splices", "part"}
_BROKER = {"credentials", "config_path"}
_DRY = {"dry_run", "start"}
MODES: dict[str, set[str]] = {
    "--list": {"list_them"},
    "--play with --export": {"tape_path", "export_to"},
    "--play": {"tape_path", "speed", "as_new", "as_json", "config_path"},
    "--listen": {"topics", "record", "duration_s", "config_path"},
    "--crowd": {"crowd", "helmets", "seed", "duration_s", "ramp_s", "connections", "ledger", "as_json"}
    | {"config_path"},
    "a scenario": {"scenario", "speed", "seed", "plot", "record", "ledger", "as_json"},
    "a scenario with --config": {"scenario"} | _FLEET | _BROKER,
    "a scenario with --dry-run": {"scenario"} | _FLEET | _DRY,
    "--dry-run": _DRAWN | _FLEET | _DRY,
    "a fleet": _DRAWN | _FLEET | _BROKER,
}
"""What can be done, and the parameters that go with it; everything else is refused beside it."""

GROUPS: dict[str, tuple[str, ...]] = {
    "What to do, instead of a fleet on a broker": (
        "dry_run", "crowd", "tape_path", "topics", "list_them",
    ),
    "The fleet": ("helmets", "seed", "crashes_per_hour", "splices", "part", "prefix"),
    "How long, and how fast": ("duration_s", "ramp_s", "speed", "start", "as_new"),
    "The broker": ("config_path", "connections", "credentials"),
    "What to write": ("ledger", "record", "plot", "export_to", "as_json"),
}  # fmt: skip

EXAMPLES = """
Examples:

\b
  helmetwatch simulate --helmets 200                   # a demonstration on the configured broker
  helmetwatch simulate low-side-slide --plot s.png     # a scenario against parts of its own
  helmetwatch simulate --helmets 50 --for 20s --dry-run --record a.tape
  helmetwatch simulate --play a.tape --as-new          # the same messages, dated as if it happened now
"""


def mode_of(given: set[str]) -> str:
    """Which of `MODES` the given parameters ask for."""
    if "list_them" in given:
        return "--list"
    if "tape_path" in given:
        return "--play with --export" if "export_to" in given else "--play"
    if "topics" in given:
        return "--listen"
    if "crowd" in given:
        return "--crowd"
    dry, configured = "dry_run" in given, "config_path" in given
    if "scenario" not in given:
        return "--dry-run" if dry else "a fleet"
    return "a scenario with --dry-run" if dry else "a scenario with --config" if configured else "a scenario"


def given(context: click.Context) -> set[str]:
    """The parameters that stand on the command line."""
    said = click.core.ParameterSource.COMMANDLINE
    return {name for name in context.params if context.get_parameter_source(name) == said}


def check(context: click.Context) -> str:
    """The mode that was asked for. Raises `click.UsageError` where an option would be ignored beside it."""
    found = given(context)
    mode = mode_of(found)
    spoken = {p.name: p.opts[0] if p.opts[0].startswith("-") else "SCENARIO" for p in context.command.params}
    strange = sorted(spoken[name] for name in found - MODES[mode])
    if strange:
        fits = ", ".join(sorted(spoken[name] for name in MODES[mode]))
        raise click.UsageError(f"{', '.join(strange)}: leave it out, {mode} takes only {fits}")
    return mode


class Grouped(click.Command):
    """A command whose options are shown under the headings of `GROUPS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options into the help."""
        by_name = {p.name: p for p in self.get_params(ctx) if isinstance(p, click.Option)}
        for heading, names in GROUPS.items():
            with formatter.section(heading):
                records = [by_name.pop(name).get_help_record(ctx) for name in names]
                formatter.write_dl([r for r in records if r])
        rest = [r for p in by_name.values() if (r := p.get_help_record(ctx))]
        with formatter.section("Other"):
            formatter.write_dl(rest)


class Duration(click.ParamType[float]):
    """Seconds, or a number with s, m or h."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of `20`, `20s`, `2m`, `1.5h`."""
        found = re.fullmatch(r"([0-9]{0,9}\.?[0-9]{1,9})\s*(s|m|h)?", str(value))
        if not found or not float(found[1]):
            self.fail(f"{value!r} is not a duration: write 20, 20s, 2m or 1h", param, ctx)
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


class Rate(click.FloatRange):
    """A number within a range; no number is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


class Connections(click.ParamType[int]):
    """A number, or `own`, which is 0."""

    name = "n|own"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """0 for one connection each."""
        if value == "own":
            return 0
        if not re.fullmatch(r"[1-9][0-9]{0,5}", str(value)):
            self.fail(f"{value!r}: write a number, or own for one connection each", param, ctx)
        return int(str(value))


class Speed(click.ParamType[float]):
    """Times real time."""

    name = "times"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A number from 0.01 on, or infinity."""
        try:
            speed = float(str(value))
        except ValueError:
            speed = math.nan
        if not speed >= 0.01:
            self.fail(f"{value!r}: write how many times real time, from 0.01 on", param, ctx)
        return speed


def topic_filters(_c: click.Context, _p: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Filters as MQTT has them: `+` is a whole level, `#` the last one. Raises `click.BadParameter`."""
    for value in values:
        levels = value.split("/")
        wild = any(level not in ("+", "#") and ("+" in level or "#" in level) for level in levels)
        if not value or wild or "#" in levels[:-1] or "\0" in value:
            raise click.BadParameter(f"{value!r} is no topic filter: + is a whole level, # the last one")
    return values


def prefix(_c: click.Context, _p: click.Parameter, value: str) -> str:
    """What ids begin with, so that they are ids. Raises `click.BadParameter`."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,18}", value):
        raise click.BadParameter("up to 18 of A-Z, a-z, 0-9, _ and -: six digits follow")
    return value


def read_credentials(path: Path, helmets: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name and password of each helmet of a CSV with `helmet,username,password`.

    Raises `click.ClickException` where the file is none, or lacks one of `helmets`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"helmet", "username", "password"} - set(rows.fieldnames or ())
            if missing:
                raise click.ClickException(f"{path}: the column {min(missing)} is missing")
            signs = {row["helmet"]: (row["username"] or "", row["password"] or "") for row in rows}
    except (UnicodeDecodeError, csv.Error) as error:
        raise click.ClickException(f"{path}: not a CSV file in UTF-8: {error}") from None
    lacking = [name for name in helmets if name not in signs]
    if lacking:
        more = f" nor for {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise click.ClickException(f"{path}: no line for {lacking[0]}{more}")
    return signs
