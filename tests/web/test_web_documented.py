"""`docs/api.md` names every address of the desk, and no other."""

import re
from pathlib import Path

from web.routes import routes

DOCS = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_every_address_is_documented_and_every_documented_address_exists() -> None:
    documented = set()
    for row in re.findall(r"^\| (`(?:GET|POST|DELETE) .*?) \|", DOCS.read_text(encoding="utf-8"), re.M):
        method, first = re.findall(r"`([A-Z]+) (\S+)`", row)[0]
        documented |= {f"{method} {path}" for path in [first, *re.findall(r", `(/\S+)`", row)]}
    registered = {f"{route.method} {route.path}" for route in routes()}
    assert documented - {"GET /static/{path}"} == registered
