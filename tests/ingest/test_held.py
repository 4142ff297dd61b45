"""What a burst holds back is in the journal: a worker that dies in it gives out the same as one that lives."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from frames import NOW_US
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NOTHING, detection, left_by_kill, lost

from core.model import Detection, Kind, Stage, Trace
from detectors import Breaker
from ingest.journal import Journal, Tick
from ingest.outbox import Outbox

MOST = 10
TRACE = Trace(NOW_US, 10_000_000, 1 / 2048, 16.0, "AAAA" * 100)

stages = st.sampled_from([Stage.FAST, Stage.STANDARD, Stage.CONFIRMED, Stage.CANCELLED, Stage.DOWNGRADED])
severities = st.sampled_from([1, 1, 1, 2, 2, 3])
turns = st.lists(
    st.tuples(
        st.sampled_from([0.05, 1.0, 4.0, 12.0, 200.0]),
        st.lists(severities, max_size=8),  # new incidents
        st.lists(st.tuples(st.integers(1, 30), severities, stages), max_size=5),  # news about one of the last
        st.booleans(),  # somebody starts to ride without a helmet
        st.booleans(),  # the worker is killed after this turn
    ),
    min_size=8,
    max_size=25,
)


class Life:
    """Breaker and journal, turn by turn; what is detected is given, and detected again by the next life."""

    def __init__(self, path: Path, again: list[tuple[int, list[Detection]]]) -> None:
        self.path, self.journal, self.breaker = path, Journal(path), Breaker(MOST)
        for now_us, detections in again:
            self.journal.commit(Tick(now_us, detections=detections), NOTHING)
        self.breaker.restore(*self.journal.burst())

    def turn(self, now_us: int, detections: list[Detection]) -> None:
        sifted = self.breaker.sift(detections, 100, now_us)
        go, held, released, withheld = sifted
        tick = Tick(now_us, detections=go, held=held, released=released, withheld=withheld)
        self.journal.commit(tick, NOTHING)

    def delivered(self) -> list[str]:
        outbox = Outbox(self.path)
        bodies = [w.body for w in outbox.waiting(0, 10**6)]
        outbox.close()
        return bodies


def streams(drawn: list[tuple]) -> list[tuple[int, list[Detection], bool]]:
    """Detections by turn: every incident's versions count up from 1, as a detector's do."""
    now_us, versions, out = NOW_US, list[int](), []
    for k, (seconds, new, news, unworn, kill) in enumerate(drawn):
        now_us += round(seconds * 1e6)
        said = []
        for severity in new:
            versions.append(1)
            d = detection(f"i{len(versions)}", 1)
            said.append(replace(d, severity=severity, stage=Stage.FAST, detected_us=now_us, trace=TRACE))
        for back, severity, stage in news:
            if back <= len(versions):
                versions[-back] += 1
                d = detection(f"i{len(versions) - back + 1}", versions[-back])
                said.append(replace(d, severity=severity, stage=stage, detected_us=now_us))
        if unworn:
            said.append(replace(detection(f"u{k}"), kind=Kind.NOT_WORN, stage=Stage.CANCELLED))
        out.append((now_us, said, kill))
    return out


def lived(stream: list[tuple[int, list[Detection], bool]], folder: Path, mortal: bool) -> list[str]:
    life = Life(folder / "0" / "j.db", [])
    for k, (now_us, said, kill) in enumerate(stream):
        life.turn(now_us, said)
        if kill and mortal:
            path = left_by_kill(life.path, folder / f"after-{k}")
            life.journal.close()
            # The kept raw frames are 30 to 40 s old.
            again = [(t, d) for t, d, _ in stream[: k + 1] if t > now_us - 40_000_000]
            life = Life(path, again)
    for more in range(3):
        life.turn(stream[-1][0] + 60_000_000 + more, [])
    assert life.breaker.held == 0
    bodies = life.delivered()
    life.journal.close()
    return bodies


@settings(max_examples=15, deadline=None)
@given(turns)
def test_killed_at_any_turn_of_a_burst_the_desk_gets_the_same_in_the_same_order(drawn: list[tuple]) -> None:
    stream = streams(drawn)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        unharmed = lived(stream, Path(one), mortal=False)
        assert lived(stream, Path(other), mortal=True) == unharmed
    keys = [json.loads(body) for body in unharmed]
    assert len({(d["incident"], d["version"]) for d in keys}) == len(keys), "nothing twice"
    newest = {d.incident: d for _, said, _ in stream for d in said}
    gone = {d["incident"] for d in keys}
    for incident, d in newest.items():
        alerts = d.stage in (Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)
        assert not alerts or incident in gone, "an alert was dropped"


def burst(count: int, now_us: int, trace: Trace | None = None) -> list[Detection]:
    return [replace(detection(f"i{k}"), detected_us=now_us, trace=trace) for k in range(count)]


def test_what_is_held_waits_in_the_journal_and_not_at_the_desk(tmp_path: Path) -> None:
    life = Life(tmp_path / "j.db", [])
    life.turn(NOW_US, burst(12, NOW_US))
    assert life.delivered() == [] and life.breaker.held == 12
    life.turn(NOW_US + 20_000_000, [])
    assert [json.loads(b)["incident"] for b in life.delivered()] == [f"i{k}" for k in range(12)]
    assert life.breaker.held == 0 and life.journal.burst().held == []


def test_what_is_released_comes_after_what_the_desk_has_taken_already(tmp_path: Path) -> None:
    """The relay goes on from the last number it has delivered."""
    life, outbox = Life(tmp_path / "j.db", []), Outbox(tmp_path / "j.db")
    life.turn(NOW_US, burst(12, NOW_US))
    life.turn(NOW_US + 1, [replace(detection("severe"), severity=4)])
    (severe,) = outbox.waiting(0)
    life.turn(NOW_US + 20_000_000, [])
    assert len(outbox.waiting(severe.id)) == 12


def test_a_damaged_detection_goes_to_the_desk_as_it_is(tmp_path: Path) -> None:
    life = Life(tmp_path / "j.db", [])
    life.turn(NOW_US, burst(12, NOW_US))
    life.journal._db.execute("UPDATE held SET body = replace(body, 'fall', 'fa\x01l') WHERE id = 5")
    life.journal._db.execute("UPDATE held SET key = 'i66:1' WHERE id = 6")
    path = left_by_kill(life.path, tmp_path / "killed")
    life.journal.close()
    before = lost("held")
    again = Life(path, [])
    assert again.breaker.held == 10 and lost("held") - before == 2
    assert len(again.delivered()) == 2
    again.turn(NOW_US + 20_000_000, [])
    assert len(again.delivered()) == 12


def test_names_of_what_never_goes_on_are_forgotten_again(tmp_path: Path) -> None:
    life = Life(tmp_path / "j.db", [])
    for minute in range(90):
        now_us = NOW_US + minute * 60_000_000
        said = [replace(detection(f"i{minute}-{k}"), detected_us=now_us) for k in range(12)]
        life.turn(now_us, said)
        life.turn(now_us + 1_000_000, [replace(d, version=2, stage=Stage.CANCELLED) for d in said])
    (names,) = life.journal._db.execute("SELECT count(*) FROM held").fetchone()
    assert names <= 32 * 24 and life.breaker.held == 0 and life.delivered() == []
