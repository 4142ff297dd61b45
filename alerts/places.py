"""Rider stations and AEDs: a CSV file with the columns `kind,name,lat_deg,lon_deg,phone,note`, WGS-84."""

from pathlib import Path

from alerts import table
from alerts.nearby import Helper
from alerts.notices import notice_id
from core.config import ConfigError

_COLUMNS = ["kind", "name", "lat_deg", "lon_deg", "phone", "note"]
KINDS = ("station", "aed")


def read(path: Path) -> list[Helper]:
    """Reads the file (UTF-8, with or without a byte order mark). Raises `ConfigError` with every fault and its line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: the places file cannot be read: {error}"]) from None
    return parse(text, str(path))


def parse(text: str, name: str) -> list[Helper]:
    """The places of such a text. Raises `ConfigError` with every fault: `name`, its line, and a sentence."""
    rows = table.lines(text)
    header = next(rows, (1, []))[1]
    if header != _COLUMNS:
        got = header if isinstance(header, str) else repr(",".join(header))
        raise ConfigError([f"{name}:1: the first line must be {','.join(_COLUMNS)}, got {got}"])
    places: dict[str, Helper] = {}
    faults = []
    for number, cells in rows:
        place = cells if isinstance(cells, str) else _place(cells)
        if isinstance(place, str):
            faults.append(f"{name}:{number}: {place}")
        elif place.id in places:
            faults.append(f"{name}:{number}: {place.name} is given twice")
        else:
            places[place.id] = place
    if faults:
        raise ConfigError(faults)
    return list(places.values())


def _place(cells: list[str]) -> Helper | str:
    """The place of one line, or what is wrong with it."""
    if len(cells) != len(_COLUMNS):
        return f"must have {len(_COLUMNS)} cells, has {len(cells)}"
    kind, name, lat, lon, phone, note = cells
    if kind not in KINDS:
        return f"kind must be station or aed, got {kind!r}"
    if not 1 <= len(name) <= 80 or not all(text.isprintable() and len(text) <= 200 for text in cells):
        return "name must be 1 to 80 printable characters, phone and note at most 200"
    try:
        lat_deg, lon_deg = float(lat), float(lon)
    except ValueError:
        return f"lat_deg and lon_deg must be numbers, got {lat!r}, {lon!r}"
    if not (-90 <= lat_deg <= 90 and -180 <= lon_deg <= 180):
        return f"lat_deg must be -90 to 90 and lon_deg -180 to 180, got {lat}, {lon}"
    id_ = f"{kind}:{notice_id(kind, name, lat_deg, lon_deg)[:12]}"
    return Helper(id_, kind, name, phone, note, lat_deg, lon_deg, None)
