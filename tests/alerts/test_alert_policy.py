"""The escalation file and the rota in it."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import policy
from alerts.notices import Contact
from alerts.policy import Tier
from alerts.rota import Rota
from core.config import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "escalation.md"


def example() -> str:
    text = DOCS.read_text(encoding="utf-8")
    return text[text.index("```yaml") + 7 :].partition("```")[0]


def read(folder: Path, text: str) -> policy.Policy:
    path = folder / "escalation.yaml"
    path.write_text(text, encoding="utf-8")
    return policy.read(path, ["group", "pager"])


def us(*local: int, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return round(datetime(*local, tzinfo=zone, fold=fold).timestamp() * 1e6)  # type: ignore[misc,arg-type]


def test_the_documented_file_is_what_it_says(tmp_path: Path) -> None:
    found = read(tmp_path, example())
    assert [tier.after_s for tier in found.tiers[4]] == [0, 60, 180, 300]
    assert found.tiers[3] == found.tiers[4]
    assert found.tiers[1] == (Tier(0, ("group",), ()), Tier(600, ("group",), ("lead",)))
    assert found.people["wang"] == Contact(
        "王芳", phone="13800000001", wecom="wangfang", feishu="ou_84aad35d"
    )
    assert found.untouched_s == 900
    day, night = (
        us(2026, 1, 5, 9, zone=ZoneInfo("Asia/Shanghai")),
        us(2026, 1, 5, 21, zone=ZoneInfo("Asia/Shanghai")),
    )
    names = [found.contacts(found.tiers[4][0], at)[0][1].name for at in (day, night)]
    assert names == ["王芳", "李明"]


def test_without_a_file_every_channel_is_told_at_0_60_180_and_300_s() -> None:
    found = policy.default(["group", "pager"])
    assert [(tier.after_s, tier.channels) for tier in found.tiers[1]] == [
        (after_s, ("group", "pager")) for after_s in (0, 60, 180, 300)
    ]
    assert policy.default([]).tiers[4] == ()


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = (
        "time_zone: Asia/Shangai\npeople: {wang: {name: 王芳}}\n"
        "rotas: {desk: {people: [li], start: 2026-01-05, handover: ['08:00']}}\n"
        "policies:\n- severities: [3, 4]\n  tiers:\n  - {after_s: 0, channels: [sms], people: ['rota:night', zhao]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert [fault.partition("escalation.yaml: ")[2] for fault in caught.value.faults] == [
        "time_zone: there is no time zone 'Asia/Shangai'",
        "rotas.desk.people: li is nobody",
        "policies.0.tiers.0.channels: there is no channel sms in alerts.channels",
        "policies.0.tiers.0.people: rota:night is neither a person nor a rota",
        "policies.0.tiers.0.people: zhao is neither a person nor a rota",
        "policies: no policy for severity 1, 2: nobody would be told",
    ]


def test_what_yaml_would_misread_is_asked_for_in_quotes(tmp_path: Path) -> None:
    text = example().replace('"20:00"', "20:00").replace('"13800000001"', "13800000001")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert len(caught.value.faults) == 2
    assert all("put it into quotes" in fault for fault in caught.value.faults)


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_a_list_of_faults(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path_factory.mktemp("policy"), text)
    assert caught.value.faults


ROTAS = st.builds(
    Rota,
    people=st.lists(st.sampled_from("abcde"), min_size=1, max_size=5).map(tuple),
    zone=st.sampled_from([BERLIN, ZoneInfo("Asia/Shanghai"), ZoneInfo("America/St_Johns")]),
    start=st.dates(date(2024, 1, 1), date(2026, 1, 1)),
    handovers=st.sets(
        st.builds(time, st.integers(4, 23), st.sampled_from([0, 30])), min_size=1, max_size=3
    ).map(lambda times: tuple(sorted(times))),
    days=st.sampled_from([1, 7]),
)
MOMENTS = st.integers(us(2025, 1, 1), us(2026, 12, 31))


@given(ROTAS, MOMENTS)
def test_between_two_changes_one_person_has_the_duty(rota: Rota, at_us: int) -> None:
    since, until = rota.changed_us(at_us), rota.changes_us(at_us)
    assert since <= at_us < until
    assert until - since <= 26 * 3600e6
    assert len({rota.on_duty(t) for t in (since, at_us, (since + until) // 2, until - 1)}) == 1


@given(ROTAS, MOMENTS)
def test_everybody_gets_a_turn_in_the_order_of_the_list(rota: Rota, at_us: int) -> None:
    if rota.days != 1:
        return
    turns = []
    for _ in range(2 * len(rota.people)):
        turns.append(rota.on_duty(at_us))
        at_us = rota.changes_us(at_us)
    doubled = list(rota.people) * 3
    assert any(doubled[n : n + len(turns)] == turns for n in range(len(rota.people)))


def test_the_hand_over_stays_at_eight_when_the_clocks_change() -> None:
    rota = Rota(("a", "b"), BERLIN, date(2026, 1, 1))
    for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1)):
        eight = us(day.year, day.month, day.day, 8)
        assert rota.on_duty(eight - 1) != rota.on_duty(eight)
        assert rota.changes_us(eight - 1) == eight


def test_a_week_of_nights_is_a_week() -> None:
    rota = Rota(("a", "b", "c", "d"), BERLIN, date(2026, 1, 5), (time(8), time(20)), days=7)
    for n in range(7):
        noon = us(2026, 1, 5, 12) + round(timedelta(days=n).total_seconds() * 1e6)
        assert (rota.on_duty(noon), rota.on_duty(noon + 12 * 3600_000_000)) == ("a", "b")
    assert rota.on_duty(us(2026, 1, 12, 12)) == "c"
