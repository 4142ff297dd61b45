"""The shipped alert rules and dashboard: valid, and about things that exist."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml
from prometheus_client import Counter, Gauge, Histogram

from core import metrics
from core.model import TELEMETRY

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus-alerts.yml"
DASHBOARD = DEPLOY / "grafana-dashboard.json"


def exposed() -> set[str]:
    """Names as they stand on /metrics."""
    names = set()
    for value in vars(metrics).values():
        if isinstance(value, Counter):
            names.add(f"{value._name}_total")
        elif isinstance(value, Histogram):
            names.add(f"{value._name}_bucket")
        elif isinstance(value, Gauge):
            names.add(value._name)
    return names


def test_prometheus_takes_the_rules() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0 and "SUCCESS" in checked.stdout, checked.stdout + checked.stderr


def test_rules_and_dashboard_ask_only_for_metrics_that_exist() -> None:
    for file in (RULES, DASHBOARD):
        asked = set(re.findall(r"\bhelmetwatch_\w+", file.read_text()))
        assert asked and asked <= exposed(), f"{file.name}: {asked - exposed()}"


def test_the_dashboard_reads_fields_that_are_stored() -> None:
    asked = set(re.findall(r'\(\\"(\w+)\\"\)', DASHBOARD.read_text()))
    assert asked and asked <= set(TELEMETRY.names)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)


class Case(NamedTuple):
    """How a rule is made to fire: `series` go bad after 5 minutes, and after `after_min` more the alarm is raised."""

    series: dict[str, tuple[str, str]]
    """Values of the first 31 scrapes, one each 10 s, and what follows."""
    labels: Mapping[str, str] = MappingProxyType({})
    after_min: int = 2


W, D = 'instance="w"', 'instance="d"'
UP_W, UP_D = f'up{{job="helmetwatch-worker", {W}}}', f'up{{job="helmetwatch-desk", {D}}}'
ONCE = ("0x30", "1x120")
CASES = {
    "WorkerDown": Case({UP_W: ("1x30", "0x120")}, {"job": "helmetwatch-worker", "instance": "w"}),
    "DeskDown": Case({UP_D: ("1x30", "_x120")}, {"job": "helmetwatch-desk"}, after_min=6),
    "NoBroker": Case({f"helmetwatch_broker_connected{{{W}}}": ("1x30", "0x120")}),
    "WorkerSilent": Case({f"helmetwatch_newest_report_age_seconds{{{D}}}": ("2x30", "11x120")}),
    "DetectionsWaiting": Case({f"helmetwatch_detections_undelivered{{{W}}}": ("0x30", "3x120")}),
    "DetectionsRefused": Case(
        {f'helmetwatch_desk_deliveries_total{{outcome="refused", {W}}}': ONCE}, {"outcome": "refused"}
    ),
    "BookFails": Case({f"helmetwatch_book_failures_total{{{D}}}": ONCE}),
    "SessionLost": Case(
        {
            f'helmetwatch_broker_connects_total{{session="new", {W}}}': ("1x30", "2x120"),
            f"process_start_time_seconds{{{W}}}": ("-1000x30", "-1000x120"),
        },
        {"session": "new"},
    ),
    "BrokerDrops": Case({f"helmetwatch_broker_dropped_messages_total{{{W}}}": ONCE}),
    # Counted before the first scrape.
    "JournalDamaged": Case(
        {f'helmetwatch_journal_lost_total{{what="file", {W}}}': ("_x31", "1x120")}, {"what": "file"}
    ),
    "NotificationsRefused": Case(
        {f'helmetwatch_notifications_total{{channel="sms", result="refused", {D}}}': ("_x31", "1x120")},
        {"channel": "sms", "result": "refused"},
    ),
    "RelayErrors": Case({f'helmetwatch_relay_errors_total{{relay="store", {W}}}': ONCE}, {"relay": "store"}),
    "RowsRefused": Case({f"helmetwatch_telemetry_rows_refused_total{{{W}}}": ONCE}),
    "TelemetryDropped": Case({f"helmetwatch_telemetry_rows_dropped_total{{{W}}}": ONCE}),
    "FramesMissing": Case(
        {
            f'helmetwatch_frames_total{{how="live", {W}}}': ("0+100x30", "3100+100x180"),
            f"helmetwatch_frames_missing_total{{{W}}}": ("0x30", "2+2x180"),
        },
        after_min=18,
    ),
    "StoreBehind": Case({f"helmetwatch_telemetry_rows_waiting{{{W}}}": ("0x30", "100001x120")}, after_min=6),
    "StoreRefuses": Case(
        {f'helmetwatch_store_writes_total{{outcome="refused", {W}}}': ONCE}, {"outcome": "refused"}
    ),
    "HeartbeatFails": Case(
        {
            f'helmetwatch_heartbeats_total{{outcome="sent", {W}}}': ("0+1x30", "31x120"),
            f'helmetwatch_heartbeats_total{{outcome="failed", {W}}}': ("0x30", "1+1x120"),
        },
        after_min=8,
    ),
    "QueueFull": Case({f"helmetwatch_queue_messages{{{W}}}": ("0x30", "5001x120")}),
    "SlowTurns": Case(
        {
            f'helmetwatch_tick_seconds_bucket{{le="0.5", {W}}}': ("0+20x30", "600+18x120"),
            f'helmetwatch_tick_seconds_bucket{{le="1", {W}}}': ("0+20x30", "600+20x120"),
            f'helmetwatch_tick_seconds_bucket{{le="+Inf", {W}}}': ("0+20x30", "600+20x120"),
        },
        after_min=10,
    ),
    "RefusedByBroker": Case(
        {f'helmetwatch_broker_connect_failures_total{{reason="oversize", {W}}}': ONCE}, {"reason": "oversize"}
    ),
    "BadInput": Case(
        {f'helmetwatch_messages_rejected_total{{reason="json", {W}}}': ("0x30", "20+20x180")},
        {"reason": "json"},
        after_min=20,
    ),
}
"""For every rule, by its name without "Helmetwatch"."""


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"].removeprefix("Helmetwatch"): rule for rule in group["rules"]}


def test_every_rule_is_quiet_and_then_fires(tmp_path: Path) -> None:
    assert CASES.keys() == rules().keys()
    tests = []
    for name, rule in rules().items():
        case = CASES[name]
        whose = "d" if any(D in series for series in case.series) else "w"
        labels = {"instance": whose, **case.labels} if name != "DeskDown" else dict(case.labels)
        summary = re.sub(
            r"{{ \$labels\.(\w+) }}", lambda m, of=case: of.labels[m[1]], rule["annotations"]["summary"]
        )
        # A service that is there is no news; one of which nothing was heard is.
        others = {series: "1x240" for series in (UP_W, UP_D) if series not in case.series}
        tests.append(
            {
                "interval": "10s",
                "input_series": [
                    {"series": series, "values": values}
                    for series, values in [
                        *((s, " ".join(v)) for s, v in case.series.items()),
                        *others.items(),
                    ]
                ],
                "alert_rule_test": [
                    {"eval_time": "5m", "alertname": rule["alert"], "exp_alerts": []},
                    {
                        "eval_time": f"{5 + case.after_min}m",
                        "alertname": rule["alert"],
                        "exp_alerts": [
                            {"exp_labels": labels | rule["labels"], "exp_annotations": {"summary": summary}}
                        ],
                    },
                ],
            }
        )
    file = tmp_path / "rules_test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "10s", "tests": tests})
    )
    tested = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_series_whose_increase_raises_an_alarm_are_there_from_the_start() -> None:
    """The increase of a series that begins at 1 is 0: the first event would go unseen."""
    shown = subprocess.run(
        [sys.executable, "-c", "from core import metrics; from prometheus_client import generate_latest as g; "
         "print(g().decode())"], capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name, rule in rules().items():
        for metric, _, label, value in re.findall(r"increase\((\w+)({(\w+)=~?\"(.*?)\"})?\[", rule["expr"]):
            if f'{metric}{{{label}="{value}"}} offset' in rule["expr"]:
                continue
            for one in value.split("|"):
                series = (
                    rf"^{metric}(\{{{label}=\"{one}\"\}})? 0\.0$" if label else rf"^{metric}(\{{.*\}})? 0\.0$"
                )
                assert re.search(series, shown, re.MULTILINE), f"{name}: {metric} {one}"
