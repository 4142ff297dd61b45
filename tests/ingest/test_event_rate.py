"""A helmet that sends events without end: routine ones are limited, a call for help is not."""

from frames import NOW_US
from hypothesis import given
from hypothesis import strategies as st

from core.config import Config
from core.model import HelmetEvent, Reason
from ingest.codec import Message, encode_event, topic
from ingest.event_rate import EventRate
from ingest.pipeline import Pipeline


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 40_000_000)), max_size=200),
)
def test_no_minute_has_more_than_twice_what_is_allowed_and_a_quiet_helmet_is_never_limited(
    per_min: int, sent: list[tuple[str, int]]
) -> None:
    rate, now_us = EventRate(per_min), NOW_US
    tries: dict[str, list[int]] = {"a": [], "b": []}
    allowed: dict[str, list[int]] = {"a": [], "b": []}
    for helmet, pause_us in sent:
        now_us += pause_us
        lately = [t for t in tries[helmet] if t > now_us - 60_000_000]
        tries[helmet].append(now_us)
        if rate.allows(helmet, now_us):
            allowed[helmet].append(now_us)
            minute = [t for t in allowed[helmet] if t > now_us - 60_000_000]
            assert len(minute) <= 2 * per_min
        else:
            assert len(lately) >= per_min / 2, "who is limited has sent a lot of late"


def test_a_clock_that_was_set_back_does_not_silence_a_helmet() -> None:
    rate = EventRate(2)
    assert [rate.allows("a", NOW_US) for _ in range(3)] == [True, True, False]
    day_ago_us = NOW_US - 86_400_000_000
    assert not rate.allows("a", day_ago_us)
    assert rate.allows("a", day_ago_us + 31_000_000)


def test_what_is_forgotten_is_full() -> None:
    rate = EventRate(10)
    for number in range(1000):
        assert rate.allows(f"SF-{number}", NOW_US + number * 1_000_000)
    assert len(rate._full_us) < 130


def test_a_flood_of_one_helmet_is_rejected_and_counted_but_no_call_for_help_and_no_other_helmet() -> None:
    def event(helmet: str, kind: str, number: int) -> Message:
        said = HelmetEvent(helmet, kind, NOW_US + number, NOW_US + number)  # type: ignore[arg-type]
        return Message(topic(helmet, "event"), encode_event(said), NOW_US + number)

    flood = [
        event("SF-1", kind, n) for n in range(500) for kind in ("worn", "not_worn", "ok", "power_off", "sos")
    ]
    tick, _ = Pipeline(Config()).process([*flood, event("SF-2", "ok", 0)], NOW_US)
    assert sum(e.type == "sos" for e in tick.events) == 500
    assert sum(e.type != "sos" for e in tick.events if e.helmet == "SF-1") == 60
    assert [e.type for e in tick.events if e.helmet == "SF-2"] == ["ok"]
    assert {rejected.reason for _, rejected in tick.rejected} == {Reason.RATE}
    assert len(tick.rejected) + len(tick.events) == len(flood) + 1
