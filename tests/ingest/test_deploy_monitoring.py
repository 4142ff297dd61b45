"""The shipped alert rules and dashboard: valid, and about things that exist."""

import json
import re
import subprocess
from pathlib import Path

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


RULE_TESTS = """
rule_files: [RULES]
evaluation_interval: 10s
tests:
  - interval: 10s
    input_series:
      - {series: 'up{job="helmetwatch-worker", instance="w"}', values: '1x6 0x20'}
      - {series: 'up{job="helmetwatch-desk", instance="d"}', values: '1x30'}
      - {series: 'helmetwatch_detections_undelivered{instance="w"}', values: '0x10 3x20'}
    alert_rule_test:
      - {eval_time: 1m, alertname: HelmetwatchWorkerDown, exp_alerts: []}
      - {eval_time: 1m, alertname: HelmetwatchDetectionsWaiting, exp_alerts: []}
      - eval_time: 3m
        alertname: HelmetwatchWorkerDown
        exp_alerts:
          - exp_labels: {severity: critical, job: helmetwatch-worker, instance: w}
            exp_annotations:
              summary: A worker is gone; crashes of its helmets wait in the broker until it is back.
      - eval_time: 3m
        alertname: HelmetwatchDetectionsWaiting
        exp_alerts:
          - exp_labels: {severity: critical, instance: w}
            exp_annotations:
              summary: Detections have been waiting for the desk for half a minute.
"""


def test_a_dead_worker_and_waiting_detections_raise_the_alarm_in_time(tmp_path: Path) -> None:
    (tmp_path / "rules_test.yml").write_text(RULE_TESTS.replace("RULES", str(RULES)))
    tested = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "rules_test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
