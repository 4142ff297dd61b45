"""Who rides with which helmet: a CSV file with the columns `helmet,name,phone`."""

import csv
import re
from pathlib import Path

from alerts.model import Rider
from core.config import ConfigError

_HELMET = re.compile(r"[A-Za-z0-9_-]{1,24}")
_COLUMNS = ["helmet", "name", "phone"]


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
    if header != _COLUMNS:
        raise ConfigError([f"{path}:1: the first line must be helmet,name,phone, got {','.join(header)!r}"])
    riders: dict[str, Rider] = {}
    faults = []
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        fault = _fault(cells, riders)
        if fault:
            faults.append(f"{path}:{rows.line_num}: {fault}")
        else:
            riders[cells[0]] = Rider(cells[1], cells[2])
    if faults:
        raise ConfigError(faults)
    return riders


def _fault(cells: list[str], riders: dict[str, Rider]) -> str:
    if len(cells) != len(_COLUMNS):
        return f"must have 3 cells (helmet,name,phone), has {len(cells)}"
    helmet, name, phone = cells
    if not _HELMET.fullmatch(helmet):
        return f"helmet must be 1 to 24 characters of A-Z a-z 0-9 _ -, got {helmet!r}"
    if helmet in riders:
        return f"helmet {helmet} is given twice"
    if not 1 <= len(name) <= 80 or not name.isprintable():
        return "name must be 1 to 80 printable characters"
    if len(phone) > 40 or not phone.isprintable():
        return "phone must be at most 40 printable characters"
    return ""
