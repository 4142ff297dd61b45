"""Who rides with which helmet: a CSV file with the columns `helmet,name,phone` and, if wanted, `first_aid`."""

import csv
import re
from pathlib import Path

from alerts.model import Rider
from core.config import ConfigError

_HELMET = re.compile(r"[A-Za-z0-9_-]{1,24}")
_COLUMNS = ["helmet", "name", "phone"]
_FIRST_AID = {"": False, "no": False, "否": False, "yes": True, "是": True}
"""The fourth column: whether the rider is trained and has agreed to be asked."""


def read(path: Path) -> dict[str, Rider]:
    """Reads the file (UTF-8, with or without a byte order mark; one line a helmet; the phone may be empty).

    Raises `ConfigError` with every fault and its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: the riders file cannot be read: {error}"]) from None
    rows = csv.reader(text.splitlines())
    header = [cell.strip() for cell in next(rows, [])]
    if header not in (_COLUMNS, [*_COLUMNS, "first_aid"]):
        wanted = "helmet,name,phone or helmet,name,phone,first_aid"
        raise ConfigError([f"{path}:1: the first line must be {wanted}, got {','.join(header)!r}"])
    riders: dict[str, Rider] = {}
    faults = []
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        fault = _fault(cells, len(header), riders)
        if fault:
            faults.append(f"{path}:{rows.line_num}: {fault}")
        else:
            riders[cells[0]] = Rider(cells[1], cells[2], len(cells) > 3 and _FIRST_AID[cells[3].lower()])
    if faults:
        raise ConfigError(faults)
    return riders


def _fault(cells: list[str], columns: int, riders: dict[str, Rider]) -> str:
    if len(cells) != columns:
        return f"must have {columns} cells as the first line has, has {len(cells)}"
    helmet, name, phone = cells[:3]
    if not _HELMET.fullmatch(helmet):
        return f"helmet must be 1 to 24 characters of A-Z a-z 0-9 _ -, got {helmet!r}"
    if helmet in riders:
        return f"helmet {helmet} is given twice"
    if not 1 <= len(name) <= 80 or not name.isprintable():
        return "name must be 1 to 80 printable characters"
    if len(phone) > 40 or not phone.isprintable():
        return "phone must be at most 40 printable characters"
    if columns > len(_COLUMNS) and cells[3].lower() not in _FIRST_AID:
        return f"first_aid must be yes or no (是, 否), got {cells[3]!r}"
    return ""
