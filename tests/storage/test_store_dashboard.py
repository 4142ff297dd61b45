"""Every question of the shipped dashboard, put to a real InfluxDB 1.6.7 that holds a helmet's rows, and to promtool."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from telemetry_servers import T0_US, Influx1, raw_samples, telemetry

from core import config
from storage import open_store

pytest_plugins = ["telemetry_servers"]

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json").read_text())
MACROS = {
    "$helmet": "SF-000001",
    "$timeFilter": f"time >= {T0_US}000 AND time < {T0_US + 60_000_000}000",
    "$__interval": "10s",
}


def questions(language: str) -> Iterator[tuple[str, str]]:
    """Titles of the panels and what they ask."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            if language in target:
                yield panel["title"], target[language]


def answers(influx1: Influx1, database: str, influxql: str) -> list[dict[str, Any]]:
    for macro, value in MACROS.items():
        influxql = influxql.replace(macro, value)
    question = urllib.parse.urlencode({"q": influxql, "db": database, "epoch": "ms"})
    with urllib.request.urlopen(f"{influx1.url}/query?{question}", timeout=10) as said:  # noqa: S310
        answer = json.load(said)["results"][0]
    assert "error" not in answer, f"{influxql}: {answer}"
    return answer.get("series", [])


def test_every_panel_shows_what_is_stored_and_no_battery_more_than_full(
    influx1: Influx1, token_file: Path
) -> None:
    database = influx1.database()
    server = config.Influx(url=influx1.shim.url, bucket=database, token_file=str(token_file))
    store = open_store(config.Storage(kind="influxdb", influxdb=server))
    rows = np.concatenate([telemetry([b"SF-000001"], seq) for seq in range(40)])
    rows["battery_pct"][:20] = 87  # and 255, unknown, afterwards
    store.write(rows)
    store.write(raw_samples(b"SF-000001"))
    store.close()
    shown = {title: answers(influx1, database, query) for title, query in questions("query")}
    assert {"Battery", "Raw samples"} <= shown.keys() and all(shown.values()), shown
    for series in (one for found in shown.values() for one in found):
        assert series["tags"] == {"helmet": "SF-000001"}
    (battery,) = shown["Battery"]
    assert {value for _, value in battery["values"]} == {87}
    (chooser,) = (each for each in DASHBOARD["templating"]["list"] if each["name"] == "helmet")
    (found,) = answers(influx1, database, chooser["query"])
    assert found["values"] == [["helmet", "SF-000001"]]


def test_prometheus_understands_every_question(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{k}", "expr": expr} for k, (_, expr) in enumerate(questions("expr"))]
    assert rules
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "rules.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
