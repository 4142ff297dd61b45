"""docs/storage.md says what is stored, and its query works."""

import re
import sqlite3
import time
from pathlib import Path

from telemetry_servers import telemetry

from core import config
from core.model import TELEMETRY
from storage import open_store

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")


def test_the_page_names_every_column_and_every_option() -> None:
    table = PAGE.partition("## What is stored")[2].partition("## ")[0]
    named = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    assert sorted(named) == sorted(TELEMETRY.names)
    for section in (config.Storage, config.Embedded, config.Influx):
        for option in section.model_fields:
            assert option in PAGE, option


def test_the_pages_query_finds_the_last_ten_minutes_of_a_helmet(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    store = open_store(config.Storage(embedded=config.Embedded(path=str(path))))
    now_us = time.time_ns() // 1000
    for age_s in (1, 300, 700):
        store.write(telemetry([b"SF-000001", b"SF-000002"], boot=age_s, t0_us=now_us - age_s * 1_000_000))
    store.close()
    query = re.search(r"```sql\n(.*?)```", PAGE, re.DOTALL)[1]
    db = sqlite3.connect(path)
    assert len(db.execute(query).fetchall()) == 2
    plan = " ".join(str(row) for row in db.execute("EXPLAIN QUERY PLAN " + query))
    assert "SEARCH telemetry" in plan
    db.close()
