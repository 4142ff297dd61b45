"""Where measurements are written."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench/results"),
    show_default=True,
    help="Folder for the results.",
)


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Writes what was measured, with what it was measured on."""
    where = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "helmetwatch": version("helmetwatch"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"measured": where} | report, indent=1, ensure_ascii=False) + "\n")
