"""Who may import whom: the table of docs/architecture.md, held."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ["core", "ingest", "detectors", "storage", "alerts", "web", "simulator", "app", "bench"]
FORBIDDEN_IN_DETECTORS = {"asyncio", "time", "logging", "sqlite3", "threading", "socket", "structlog"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def table() -> dict[str, set[str]]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text[text.index("## Who may import whom") :]
    section = section[: section.index("\n## ", 5)]
    rules = {}
    for package, allowed in re.findall(r"^\| (.+?) \| (.+?) \|$", section, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", package):
            rules[name] = set(re.findall(r"`([\w.]+)`", allowed))
    return rules


@pytest.mark.parametrize("package", OURS)
def test_a_package_imports_only_what_the_table_allows(package: str) -> None:
    allowed = table()[package]
    assert files(package)
    if "everything" in allowed:
        return
    for path in files(package):
        for name in imports(path):
            top = name.partition(".")[0]
            if top == package or top in sys.stdlib_module_names:
                continue
            fits = any(name == a or name.startswith(f"{a}.") or a == top for a in allowed)
            assert fits, f"{path.relative_to(ROOT)} imports {name}; {package} may import {sorted(allowed)}"


def test_detectors_know_no_clock_and_no_files() -> None:
    for path in files("detectors"):
        assert not imports(path) & FORBIDDEN_IN_DETECTORS, path
        calls = {
            n.func.id
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert "open" not in calls and "print" not in calls, path


@pytest.mark.parametrize(
    ("library", "where"),
    [
        ("paho", {"ingest/mqtt.py", "ingest/probe.py", "simulator", "bench"}),
        ("influxdb_client", {"storage/influx.py"}),
        ("iotcore", {"app/broker.py"}),
        ("matplotlib", {"alerts/paper.py", "app", "bench"}),
        ("cryptography", {"alerts/signing.py"}),
    ],
)
def test_a_library_is_hidden_behind_its_module(library: str, where: set[str]) -> None:
    for package in OURS:
        for path in files(package):
            name = path.relative_to(ROOT).as_posix()
            if any(i == library or i.startswith(f"{library}.") for i in imports(path)):
                assert name in where or package in where, f"{name} imports {library}"
