"""Who rides with which helmet: a CSV file with the columns `helmet,name,phone` and, where wanted, more.

More are `first_aid` (yes where the rider is trained and has agreed to be asked to help), `city`, `station`,
`contact_name` and `contact_phone` (whom to call when the rider cannot speak), in any order.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from alerts import table
from alerts.model import Rider
from core.config import ConfigError

NEEDED = ("helmet", "name", "phone")
MORE = ("first_aid", "city", "station", "contact_name", "contact_phone")

_HELMET = re.compile(r"[A-Za-z0-9_-]{1,24}")
_FIRST_AID = {"": False, "no": False, "否": False, "yes": True, "是": True}


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to call about a rider. Kept apart from the rider: it is shown to one person at a time."""

    name: str
    phone: str


@dataclass(frozen=True, slots=True)
class Register:
    """What the file says."""

    riders: dict[str, Rider]
    contacts: dict[str, Contact]
    """By helmet, of those riders that have one."""


def read(path: Path) -> Register:
    """Reads the file (UTF-8, with or without a byte order mark; one line a helmet; the phone may be empty).

    Raises `ConfigError` with every fault and its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: the riders file cannot be read: {error}"]) from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Register:
    """What such a text says. Raises `ConfigError` with every fault: `name`, its line, and a sentence."""
    register, faults = Register({}, {}), []
    lines = table.lines(text)
    header = next(lines, (1, []))[1]
    if fault := _heading_fault(header):
        raise ConfigError([f"{name}:1: {fault}"])
    for number, cells in lines:
        if isinstance(cells, str):
            fault = cells
        elif len(cells) != len(header):
            fault = f"must have {len(header)} cells as the first line has, has {len(cells)}"
        else:
            fault = _take(dict(zip(header, cells, strict=True)), register)
        if fault:
            faults.append(f"{name}:{number}: {fault}")
    if faults:
        raise ConfigError(faults)
    return register


def _heading_fault(header: list[str] | str) -> str:
    wanted = f"the first line must be {','.join(NEEDED)} and any of {','.join(MORE)}"
    if isinstance(header, str):
        return header
    if not set(NEEDED) <= set(header):
        return f"{wanted}, got {','.join(header)!r}"
    if unknown := sorted(set(header) - {*NEEDED, *MORE}):
        return f"{wanted}; there is no column {', '.join(map(repr, unknown))}"
    if len(set(header)) < len(header):
        return f"{wanted}, each once"
    return ""


def _take(cells: dict[str, str], register: Register) -> str:
    """Takes one line into the register, or says what is wrong with it."""
    helmet, first_aid = cells["helmet"], cells.get("first_aid", "").lower()
    texts = {name: cells.get(name, "") for name in ("city", "station", "contact_name")}
    phones = {name: cells.get(name, "") for name in ("phone", "contact_phone")}
    if not _HELMET.fullmatch(helmet):
        return f"helmet must be 1 to 24 characters of A-Z a-z 0-9 _ -, got {helmet!r}"
    if helmet in register.riders:
        return f"helmet {helmet} is given twice"
    if not cells["name"]:
        return "name must be 1 to 80 printable characters"
    for name, text in ({"name": cells["name"]} | texts).items():
        if len(text) > 80 or not text.isprintable():
            return f"{name} must be {'1 to' if name == 'name' else 'at most'} 80 printable characters"
    for name, text in phones.items():
        if len(text) > 40 or not text.isprintable():
            return f"{name} must be at most 40 printable characters"
    if first_aid not in _FIRST_AID:
        return f"first_aid must be yes or no (是, 否), got {cells['first_aid']!r}"
    contact = Contact(texts["contact_name"], phones["contact_phone"])
    if contact.name and not contact.phone:
        return "contact_name without a contact_phone"
    if contact.phone:
        register.contacts[helmet] = contact
    register.riders[helmet] = Rider(
        cells["name"],
        phones["phone"],
        _FIRST_AID[first_aid],
        texts["city"],
        texts["station"],
        bool(contact.phone),
    )
    return ""
