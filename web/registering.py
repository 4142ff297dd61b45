"""The files of riders and places over HTTP: how they stand, what a new one would change, and taking it into use."""

import asyncio
import base64
import binascii
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

from alerts.taking import Plan, plan
from core.config import ConfigError
from web.accounts import Person
from web.auditing import write_down
from web.checked import checked
from web.problems import Problem, read_body
from web.register_trail import RegisterTrail
from web.state import Desk

FILE_BODY_MAX = 12 * 2**20
"""Room for fifty thousand riders with everything about them, in base64."""

FAULTS_SHOWN = 50
LINES_SHOWN = 20
TRAIL_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RegisterFile:
    """What a person sends to replace the riders or the places."""

    file: str
    """The CSV file as it is, in base64: UTF-8 or GB18030."""
    add: bool = False
    """Whether lines stay that the file does not replace."""
    of: str = ""
    """`of` of the preview that the person has seen; needed to replace."""


_FILE = TypeAdapter(RegisterFile)


async def show(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """How many riders and places are known, what is wrong with a changed file, and who replaced which."""
    return await _state(desk)


async def preview(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """What a file would change, and every fault in it; nothing is replaced. That it was shown is written down."""
    what, target = _target(request, desk)
    given, raw = _given(await read_body(request, FILE_BODY_MAX))
    try:
        found, of = await asyncio.to_thread(_plan, what, raw, target, given.add)
    except ConfigError as error:
        return web.json_response(_faulty(error))
    except OSError as error:
        raise Problem(503, f"The file in use cannot be read: {error.strerror}.") from None
    shown = _plain(found)
    # Lines that go are names that the desk gives out.
    await write_down(request, desk, by, "preview", {"file": what}, sum(map(len, shown["lines"].values())))
    return web.json_response(shown | {"of": of})


async def replace(request: web.Request, desk: Desk, by: Person) -> web.Response:
    """A person takes a file into use whose preview they have seen."""
    what, target = _target(request, desk)
    given, raw = _given(await read_body(request, FILE_BODY_MAX))
    now_us = desk.clock.now_us()

    def work(trail: RegisterTrail) -> None:
        found, of = _plan(what, raw, target, given.add)
        if given.of != of:
            raise Problem(409, "The file in use has changed since the preview; look at the preview again.")
        trail.take(what, found, target, by.display_name, now_us)

    try:
        await desk.register(work)
    except ConfigError as error:
        raise Problem(409, f"The file has faults ({len(error.faults)}); the preview names them.") from None
    except OSError as error:
        raise Problem(503, f"The file cannot be written on the desk's machine: {error.strerror}.") from None
    return await _state(desk)


def _target(request: web.Request, desk: Desk) -> tuple[str, Path]:
    what, config = request.match_info["name"], desk.config.alerts
    names = {"riders": config.riders_file, "places": config.places_file}
    if what not in names:
        raise Problem(404, "There are riders and places, and no other register.")
    if not names[what]:
        raise Problem(
            409, f"alerts.{what}_file names no file: the configuration has to say where {what} are kept."
        )
    return what, Path(names[what])


def _given(body: bytes) -> tuple[RegisterFile, bytes]:
    given = checked(lambda: _FILE.validate_json(body))
    try:
        return given, base64.b64decode(given.file, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "file: must be the CSV file in base64.") from None


def _plan(what: str, raw: bytes, target: Path, add: bool) -> tuple[Plan, str]:
    """What would change, and a name for just this change: of this file, taken thus, upon what is there now."""
    found = plan(what, raw, f"{what}.csv", target, add=add)
    present = target.read_bytes() if target.is_file() else b""
    parts = (what.encode(), found.text.encode(), present)
    return found, hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _plain(found: Plan) -> dict[str, Any]:
    lines = {"added": found.added, "changed": found.changed, "gone": found.gone}
    counts = {name: len(each) for name, each in lines.items()}
    return {
        "rows": found.rows,
        **counts,
        "same": found.rows - counts["added"] - counts["changed"],
        "lines": {name: each[:LINES_SHOWN] for name, each in lines.items()},
        "encoding": "utf-8" if found.encoding == "utf-8-sig" else found.encoding,
        "faults": [],
        "more_faults": 0,
    }


def _faulty(error: ConfigError) -> dict[str, Any]:
    return _plain(Plan("", "utf-8-sig", 0, [], [], [])) | _faults(error.faults) | {"of": ""}


def _faults(faults: list[str]) -> dict[str, Any]:
    return {"faults": faults[:FAULTS_SHOWN], "more_faults": max(0, len(faults) - FAULTS_SHOWN)}


async def _state(desk: Desk) -> web.Response:
    known, config = desk.registers, desk.config.alerts
    # A fault begins with the file's path, which is nobody's business on the page.
    faults = [Path(fault.partition(": ")[0]).name + ": " + fault.partition(": ")[2] for fault in known.faults]
    trail = await desk.register(lambda trail: trail.newest(TRAIL_SHOWN))
    body = {
        "riders": len(known.riders),
        "places": len(known.places),
        "files": [what for what in ("riders", "places") if getattr(config, f"{what}_file")],
        "trail": [asdict(taken) for taken in trail],
    }
    return web.json_response(body | _faults(faults))
