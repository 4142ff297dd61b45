"""How fast a backlog may go to the store."""

from ingest.pace import Pace


def test_what_waits_goes_at_two_thousand_rows_a_second_while_nobody_rides() -> None:
    pace = Pace(3.0, 0.0)
    now_s = 0.0
    for _ in range(60):
        pace.came(0, now_s)
        now_s += pace.wait_s(1000, now_s)
    assert 60 * 1000 / now_s == 2000
