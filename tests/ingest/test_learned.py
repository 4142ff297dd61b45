"""What sensors have taught lies in the journal: each helmet's last word, whole or not at all, and within a bound."""

from pathlib import Path

import pytest
from frames import NOW_US
from journals import NOTHING, left_by_kill, lost

from core import metrics
from core.config import Config
from ingest import learned
from ingest.journal import Journal, Tick
from ingest.pipeline import Pipeline

DAY_US = 86_400_000_000


def note(journal: Journal, *told: tuple[str, bytes], now_us: int = NOW_US) -> None:
    journal.commit(Tick(now_us, learned=list(told)), NOTHING)


def test_the_last_word_about_each_helmet_survives_a_kill(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    note(journal, ("SF-1", b"one"), ("SF-2", b"two"))
    note(journal, ("SF-1", b"three"))
    again = Journal(left_by_kill(journal.path, tmp_path / "killed"))
    assert again.learned() == [("SF-2", b"two"), ("SF-1", b"three")]


def test_a_damaged_word_is_counted_and_the_others_are_used(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    note(journal, ("SF-1", b"one"), ("SF-2", b"two"), ("SF-3", b"three"))
    journal._db.execute("UPDATE learned SET block = x'01' WHERE helmet = 'SF-2'")
    journal._db.execute("UPDATE learned SET helmet = 'SF-9' WHERE helmet = 'SF-3'")
    before = lost("learned")
    assert journal.learned() == [("SF-1", b"one")] and lost("learned") - before == 2


def test_what_another_version_wrote_is_counted_and_left_out(tmp_path: Path) -> None:
    journal, counter = Journal(tmp_path / "j.db"), metrics.LEARNED.labels("other_version")
    note(journal, ("SF-1", b"of another version"))
    before = counter._value.get()
    pipeline = Pipeline(Config())
    pipeline.remember(journal.numbers(), journal.learned())
    assert counter._value.get() - before == 1 and pipeline.learned() == []


def test_a_month_of_silence_makes_a_new_helmet(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    note(journal, ("SF-1", b"old"), now_us=NOW_US - 31 * DAY_US)
    note(journal, ("SF-2", b"new"))
    assert journal.learned() == [("SF-2", b"new")]


def test_of_too_many_helmets_those_unwritten_for_longest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "HELMETS_MAX", 50)
    journal = Journal(tmp_path / "j.db")
    for first in range(0, 200, 20):
        note(journal, ("SF-live", b"live"), *[(f"SF-{k}", b"made up") for k in range(first, first + 20)])
    kept = [helmet for helmet, _ in journal.learned()]
    assert len(kept) == 50 and "SF-live" in kept and "SF-199" in kept and "SF-0" not in kept
