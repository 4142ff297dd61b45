"""Every option, command and metric is documented; routes are held by tests/web/test_web_documented.py."""

import re
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

import app.manual
from core import metrics

DOCS = Path(__file__).parents[1] / "docs"


def test_the_commands_are_documented_as_they_are() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written.strip() == app.manual.manual().strip(), "run: python -m app.manual > docs/commands.md"


def test_every_metric_is_documented_and_no_other() -> None:
    ours = {value._name for value in vars(metrics).values() if isinstance(value, Counter | Gauge | Histogram)}
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert ours == set(re.findall(r"^\| `(helmetwatch_\w+?)(?:_total)?(?:\{.*\})?` \|", text, re.MULTILINE))


def test_every_link_between_the_documents_leads_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]
    assert pages
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
