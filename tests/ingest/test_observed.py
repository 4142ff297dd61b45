"""The worker's list of helmets under observation: from the desk, over restarts, whatever the desk says."""

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ingest.observed import HELMETS_MAX, Observed


def answer(**until_us: int) -> bytes:
    return json.dumps({"observed": until_us}).encode()


def test_a_helmet_is_observed_until_its_time_has_come(tmp_path: Path) -> None:
    observed = Observed(tmp_path / "observed")
    observed.take(answer(A=10, B=20))
    assert [observed.now(t) for t in (9, 10, 20)] == [{"A", "B"}, {"B"}, set()]
    observed.take(answer(B=30))
    assert observed.now(5) == {"B"}


def test_a_restart_knows_the_list_without_a_desk(tmp_path: Path) -> None:
    Observed(tmp_path / "observed").take(answer(A=10))
    assert Observed(tmp_path / "observed").now(9) == {"A"}
    assert (tmp_path / "observed").stat().st_mode & 0o077 == 0


def test_a_damaged_or_unwritable_list_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "observed").write_bytes(b'{"A": ')
    observed = Observed(tmp_path / "observed")
    assert observed.now(0) == set()
    (tmp_path / "observed").unlink()
    (tmp_path / "observed").mkdir()
    observed.take(answer(A=10))
    assert observed.now(9) == {"A"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.binary() | st.sampled_from([b'{"observed": {"A": "soon"}}', b'{"observed": []}', b"{}", b"[]"])
)
def test_an_answer_that_makes_no_sense_changes_nothing(tmp_path: Path, said: bytes) -> None:
    observed = Observed(tmp_path / "observed")
    observed.take(answer(A=10))
    observed.take(said)
    assert observed.now(9) == {"A"}


def test_a_list_longer_than_any_desk_allows_is_not_believed(tmp_path: Path) -> None:
    observed = Observed(tmp_path / "observed")
    observed.take(answer(A=10))
    with capture_logs() as said:
        for _ in range(3):
            observed.take(answer(**{f"SF-{n}": 10 for n in range(HELMETS_MAX + 1)}))
    assert observed.now(9) == {"A"}
    assert [(line["event"], line["helmets"]) for line in said] == [("observation.too_many", HELMETS_MAX + 1)]
    observed.take(answer(B=10))
    assert observed.now(9) == {"B"}
