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


def doubts(folder: Path, text: str) -> list[str]:
    path = folder / "escalation.yaml"
    path.write_text(text, encoding="utf-8")
    return policy.doubts(path, ["group", "pager"])


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
    path = tmp_path / "escalation.yaml"
    assert [fault.replace(str(path), "F") for fault in caught.value.faults] == [
        "time_zone: there is no time zone 'Asia/Shangai' (F:1)",
        "rotas.desk.people.0: li is nobody (F:3)",
        "policies.0.tiers.0.channels: there is no channel sms in alerts.channels (F:7)",
        "policies.0.tiers.0.people: rota:night is neither a person nor a rota (F:7)",
        "policies.0.tiers.0.people: zhao is neither a person nor a rota (F:7)",
        "policies: no policy for severity 1, 2: nobody would be told (F:4)",
    ]


def test_a_fault_of_form_has_its_line_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, example().replace("repeat_s: 300", "repeat_s: soon\nrepeat_s: 300\nrepaet_s: 1"))
    faults = [fault.partition(" (")[0] for fault in caught.value.faults]
    assert faults == ["repeat_s: given twice", "repaet_s: unknown option"]
    lines = example().splitlines()
    at = next(n for n, line in enumerate(lines, 1) if line.startswith("repeat_s"))
    assert [fault.rpartition(":")[2] for fault in caught.value.faults] == [f"{at + 1})", f"{at + 2})"]


@pytest.mark.parametrize(
    ("was", "becomes", "doubt"),
    [
        ("severities: [1, 2]", "severities: [1, 2, 3]", "severity 3 stands in a policy above already"),
        ("{after_s: 0, channels: [group]}", "{after_s: 5, channels: [group]}", "in the first 5 s"),
        ("{after_s: 60, ", "{after_s: 180, ", "two tiers have the same after_s"),
        ('people: ["rota:desk"]', "people: [wang]", "no tier calls this rota"),
        ("people: [wang, li] ", "people: [wang] ", "nobody ever hands over"),
        ('["08:00", "20:00"]', '["08:00", "08:00"]', "a time of day is given twice"),
        ("channels: [group, pager]", "channels: [group]", ""),
    ],
)
def test_what_is_hardly_meant_is_doubted_but_kept(tmp_path: Path, was: str, becomes: str, doubt: str) -> None:
    assert was in example()
    found = doubts(tmp_path, example().replace(was, becomes))
    assert any(doubt in each for each in found) if doubt else found == []
    assert all("escalation.yaml:" in each for each in found)


def test_the_documented_file_leaves_no_doubt_and_a_channel_without_a_tier_does(tmp_path: Path) -> None:
    assert doubts(tmp_path, example()) == []
    (found,) = doubts(tmp_path, example().replace("pager", "group"))
    assert found.startswith("policies: no tier uses the channel pager")
    read(tmp_path, example().replace("pager", "group"))


def test_apprise_is_never_the_only_way_of_a_critical_alert(tmp_path: Path) -> None:
    path = tmp_path / "escalation.yaml"
    path.write_text(example(), encoding="utf-8")
    policy.read(path, ["group", "pager"], {"pager"})
    with pytest.raises(ConfigError, match=r"policies.0.tiers.0.channels: .*apprise"):
        policy.read(path, ["group", "pager"], {"group"})
    low = example().replace("severities: [4, 3]", "severities: [4]").replace("[1, 2]", "[1, 2, 3]")
    path.write_text(
        low.replace("{after_s: 0, channels: [group]}", "{after_s: 0, channels: [pager]}"), "utf-8"
    )
    policy.read(path, ["group", "pager"], {"pager"})
    with pytest.raises(ConfigError, match=r"alerts.channels: .*apprise"):
        policy.default(["a", "b"], {"a", "b"})
    policy.default(["a", "b"], {"a"})
    policy.default([])


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
