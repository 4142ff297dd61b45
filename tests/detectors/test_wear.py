"""Whether a helmet is on a head, from a stream of one-second frames (docs/detection.md, Wear).

Verification cases: V23, V39, V40, V41, V42.
"""

import numpy as np
import pytest
from motion_cases import SCALE_G, crash, feed, frames, lying, ride, to_counts

from core.model import Kind, Stage, Strap, Worn
from detectors import Fleet, gyro, unworn, wear

YES, NO, UNKNOWN = int(Worn.YES), int(Worn.NO), int(Worn.UNKNOWN)
RIDE = ([0.0, 0.0, 1.0], 0.12)
HEAD = ([0.0, 0.1, 1.0], 0.015)
TABLE = ([0.0, 0.0, 1.0], 0.002)
BOX = ([1.0, 0.0, 0.1], 0.12)


class Helmet:
    """One helmet's row, fed a second at a time."""

    def __init__(self):
        self.row = np.zeros(1, wear.WEAR)
        self.now_s = 0
        self.seen = {"state": [], "stuck": [], "bouncing": [], "opened": [], "over": []}
        self.rng = np.random.default_rng(0)

    def live(self, seconds, motion, bit, speed_mps=np.nan, strap=0, full_scale_g=16.0, turning=None):
        for k in range(seconds):
            up, shake_g = motion
            now_bit = bit(k) if callable(bit) else bit
            e = wear.Evidence(
                np.array([self.now_s * 1_000_000 + 1]),
                np.ones(1, np.float32),
                np.array([now_bit], np.uint8),
                np.array([strap], np.uint8),
                np.array([up], np.float32),
                *np.sort(shake_g * self.rng.uniform(0.9, 1.1, (3, 1)), axis=0)[1:].astype(np.float32),
                np.array([speed_mps], np.float32),
                full_scale_g,
                np.zeros(1, np.float32),
                turning,
            )
            change = wear.step(self.row, e, 2.2)
            ride = unworn.step(self.row, change.rides, e.speed_mps, e.seconds)
            self.now_s += 1
            for said in (change, ride):
                for name in said._fields:
                    if name in self.seen and getattr(said, name)[0]:
                        self.seen[name].append(self.now_s)
        return self

    @property
    def state(self):
        return int(self.row["state"][0])

    def believed(self, bit):
        return int(wear.effective(self.row, np.array([bit], np.uint8), np.array([False]))[0])


def test_putting_on_is_believed_after_three_seconds_and_dated_back():
    h = Helmet().live(60, TABLE, NO).live(20, HEAD, YES)
    assert h.state == YES
    on_s = h.seen["state"][-1]
    assert h.row["since_us"][0] / 1e6 == pytest.approx(on_s - 3, abs=1.1)


def test_taking_off_takes_ten_seconds_longer_than_putting_on():
    h = Helmet().live(60, HEAD, YES)
    h.live(12, HEAD, NO)
    assert h.state == YES, "a short loss of skin contact is no helmet taken off"
    h.live(30, TABLE, NO)
    assert h.state == NO


def test_without_a_wear_bit_a_head_is_known_by_its_small_motion_and_a_shelf_by_having_none():
    assert Helmet().live(60, HEAD, UNKNOWN).state == YES
    shelf = Helmet().live(150, TABLE, UNKNOWN)
    assert shelf.state == NO and shelf.believed(UNKNOWN) == NO


def test_a_part_that_cannot_see_small_motion_says_nothing():
    assert Helmet().live(300, TABLE, UNKNOWN, full_scale_g=200.0).state == UNKNOWN


@pytest.mark.parametrize("motion", [RIDE, HEAD, BOX])
def test_unknown_is_never_lowered_to_not_worn_by_a_ride_upright(motion):
    h = Helmet().live(30, motion, UNKNOWN)
    assert h.believed(UNKNOWN) != NO or motion is BOX


def test_a_rider_without_a_wear_bit_who_stands_like_a_statue_and_rides_on_is_unknown_at_worst():
    h = Helmet().live(60, TABLE, UNKNOWN).live(10, RIDE, UNKNOWN)
    assert h.believed(UNKNOWN) != NO
    h = Helmet().live(200, TABLE, UNKNOWN).live(10, RIDE, UNKNOWN)
    assert h.believed(UNKNOWN) != NO


def test_strap_and_bit_add_up():
    shut = Helmet().live(3, RIDE, YES, strap=int(Strap.CLOSED)).row["logodds"][0]
    apart = Helmet().live(3, RIDE, YES, strap=int(Strap.OPEN)).row["logodds"][0]
    assert shut > apart > 0


def test_v39_a_bouncing_bit_opens_no_unworn_ride():
    h = Helmet().live(1200, RIDE, lambda k: YES if k % 2 else NO, speed_mps=6.0)
    assert h.seen["opened"] == []
    assert h.seen["bouncing"] and h.believed(NO) != NO


def test_v40_a_bit_stuck_on_upon_a_shelf_is_found_after_two_long_rests():
    h = Helmet()
    for _ in range(2):
        h.live(1900, TABLE, YES).live(30, RIDE, YES)
    assert h.seen["stuck"]
    h.live(150, TABLE, YES)
    assert h.believed(YES) == NO


def test_v40_a_bit_stuck_off_on_a_head_is_found_and_no_longer_hides_a_crash():
    h = Helmet().live(700, RIDE, NO, speed_mps=6.0, strap=int(Strap.CLOSED))
    assert h.seen["stuck"] and h.believed(NO) != NO


def test_v41_a_helmet_in_a_box_opens_one_unworn_ride_in_half_an_hour_after_thirty_seconds():
    h = Helmet().live(100, TABLE, NO).live(1800, BOX, NO, speed_mps=6.0)
    assert len(h.seen["opened"]) == 1
    assert h.seen["opened"][0] == pytest.approx(130, abs=2)


def test_v41_a_train_is_no_unworn_ride():
    assert Helmet().live(100, TABLE, NO).live(900, BOX, NO, speed_mps=30.0).seen["opened"] == []


def test_v42_a_bit_that_flickers_under_a_hat_opens_no_unworn_ride():
    rng = np.random.default_rng(1)
    h = Helmet().live(1800, RIDE, lambda _: NO if rng.random() < 0.05 else YES, speed_mps=6.0)
    assert h.seen["opened"] == [] and h.state == YES


def test_state_of_a_helmet_is_small():
    assert wear.WEAR.itemsize <= 192


def dropped(height_s=0.5):
    """A ride, free fall, a hard blow, then the helmet lies on the road."""
    rng = np.random.default_rng(0)
    acc = np.concatenate([ride(10, rng), rng.normal(0, 0.05, (round(height_s * 100), 3)), lying(14, rng)])
    at = 1000 + round(height_s * 100)
    acc[at : at + 3] += np.array([[8.0, 3.0, 6.0], [18.0, 6.0, 12.0], [6.0, 2.0, 4.0]])
    return to_counts(acc)


def push(counts, worn_of, speed_of):
    fleet, out = Fleet(), []
    for seq, first in enumerate(range(0, len(counts), 100)):
        f = frames(
            [("SF-1", seq, first, counts[first : first + 100])], worn=worn_of(seq), speed_mps=speed_of(seq)
        )
        out += fleet.push(f, np.array([1]), np.array([first]), int(f.received_us[0]))
    return out


def halts(seq):
    return 6.0 if seq < 11 else 0.0


def test_v23_a_helmet_that_falls_off_the_handlebar_is_lost_not_a_crash():
    said = push(dropped(), lambda _: NO, halts)
    assert said and {d.kind for d in said} == {Kind.HELMET_LOST}
    assert {d.stage for d in said} == {Stage.STANDARD} and said[-1].severity == 1
    assert "helmet lost" in said[0].reason_en and "脱落" in said[0].reason_zh


def test_v23_a_helmet_that_flies_off_its_rider_is_lost_and_keeps_its_severity():
    said = push(dropped(), lambda seq: YES if seq < 10 else NO, halts)
    assert said and said[0].kind == Kind.HELMET_LOST
    assert said[-1].severity >= 2, "it may have been torn off in a crash"


@pytest.mark.parametrize("off_s", [1, 2, 5, 8])
def test_a_bit_that_loses_the_skin_on_the_road_hides_no_crash(off_s):
    """The state follows a bit within some 16 s; until then a rider on the road is taken for one."""
    case = crash(before_s=14.0)
    said = push(case.counts, lambda seq: NO if 14 - off_s <= seq else YES, lambda _: 6.0 if _ < 14 else 0.0)
    assert said and said[-1].stage == Stage.CONFIRMED
    assert all(d.worn == Worn.UNKNOWN for d in said)


def test_a_helmet_that_was_taken_off_and_ridden_home_on_the_handlebar_is_not_worn():
    case = crash(before_s=40.0)
    assert (
        push(case.counts, lambda seq: NO if seq >= 10 else YES, lambda seq: 6.0 if seq >= 12 else 0.0) == []
    )


def test_a_helmet_dropped_by_somebody_who_stands_is_nothing():
    assert push(dropped(), lambda _: NO, lambda _: 0.0) == []


def test_a_missing_wear_bit_of_a_helmet_that_stood_on_a_shelf_does_not_alert_on_the_drop():
    rng = np.random.default_rng(0)
    shelf = np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.002, (15000, 3))
    drop = dropped() * SCALE_G
    counts = to_counts(np.concatenate([shelf, drop[1000:]]))
    assert push(counts, lambda _: UNKNOWN, lambda _: 0.0) == []
    assert feed(Fleet(), to_counts(drop), worn=UNKNOWN) != [], (
        "without the shelf nothing says that nobody wore it"
    )


def turning(yaws=False, swings=False):
    return gyro.Turning(*(np.array([flag]) for flag in (yaws, swings, False)))


def test_yaw_on_a_ride_means_a_head_and_swinging_a_handlebar():
    assert Helmet().live(20, RIDE, UNKNOWN, turning=turning(yaws=True)).state == YES
    assert Helmet().live(40, RIDE, UNKNOWN, turning=turning(swings=True)).state == NO
    assert Helmet().live(40, BOX, UNKNOWN, turning=turning(yaws=True)).state == NO, (
        "a box turns with the road"
    )


def test_putting_on_is_believed_sooner_with_the_turn_that_belongs_to_it():
    hung = ([0.0, 0.9, -0.3], 0.1)
    plain = Helmet().live(30, HEAD, NO).live(1, HEAD, YES)
    turned = Helmet().live(30, hung, NO).live(1, HEAD, YES)
    lead = turned.row["logodds"][0] - plain.row["logodds"][0]
    assert lead == pytest.approx(2.0, abs=0.4)


@pytest.mark.parametrize("apart_s, counts", [(3, True), (9, False)])
def test_a_turn_belongs_to_an_edge_at_most_five_seconds_away(apart_s, counts):
    hung = ([0.0, 0.9, -0.3], 0.1)
    h = Helmet().live(30, hung, NO).live(4 + apart_s, HEAD, NO)
    before = float(h.row["logodds"][0])
    h.live(1, HEAD, YES)
    assert (h.row["logodds"][0] - before > 3) == counts


def test_each_edge_counts_once():
    h = Helmet().live(30, HEAD, NO).live(1, HEAD, YES)
    rolled = [([0.0, 1.0, 0.0], 0.1), ([0.0, 0.0, 1.0], 0.1)] * 3
    for motion in rolled:
        h.live(2, motion, UNKNOWN)
    assert h.row["logodds"][0] < 3, "rolling about on a bench is not six times putting on"


def live_by_the_minute(h, minutes, motion, bit):
    """The same as `live` in frames of a minute, so that days pass quickly."""
    up, shake_g = motion
    for _ in range(minutes):
        still, most = np.sort(shake_g * h.rng.uniform(0.9, 1.1, 3))[1:].astype(np.float32)
        column = np.ones(1, np.float32)
        e = wear.Evidence(
            np.array([h.now_s * 1_000_000 + 1]), 60 * column, np.array([bit], np.uint8), np.zeros(1, np.uint8),
            np.array([up], np.float32), still * column, most * column, np.nan * column, 16.0, 0 * column,
        )  # fmt: skip
        if wear.step(h.row, e, 2.2).stuck[0]:
            h.seen["stuck"].append(h.now_s)
        h.now_s += 60
    return h


@pytest.mark.parametrize("bit", [YES, NO])
def test_a_bit_without_an_edge_in_72_hours_of_wearing_and_laying_down_is_stuck(bit):
    h = Helmet()
    for _ in range(8):
        # 20 minutes on the shelf and 9 on the head are too short for the two quicker rules.
        live_by_the_minute(h, 20, TABLE, bit)
        live_by_the_minute(h, 9, HEAD, bit)
        live_by_the_minute(h, 571, ([1.0, 0.0, 0.1], 0.01), bit)
    assert h.seen["stuck"] and h.seen["stuck"][0] / 3600 == pytest.approx(72, abs=0.1)


def test_a_bit_without_an_edge_in_a_week_in_a_cupboard_is_not_stuck():
    h = Helmet()
    assert live_by_the_minute(h, 7 * 24 * 60, ([1.0, 0.0, 0.1], 0.002), NO).seen["stuck"] == []


def test_an_edge_starts_the_72_hours_again():
    h = Helmet()
    for day in range(8):
        live_by_the_minute(h, 20, TABLE, NO)
        live_by_the_minute(h, 9, HEAD, YES if day == 4 else NO)
        live_by_the_minute(h, 571, ([1.0, 0.0, 0.1], 0.01), NO)
    assert h.seen["stuck"] == []


def test_after_a_night_nobody_knows_whether_it_is_worn_until_something_says_so():
    h = Helmet().live(60, HEAD, YES)
    h.now_s += 8 * 3600
    h.live(1, RIDE, UNKNOWN)
    assert h.state == UNKNOWN


def test_a_train_between_two_stations_is_still_a_train():
    h = Helmet().live(100, TABLE, NO)
    for _ in range(5):
        h.live(60, BOX, NO, speed_mps=22.0).live(45, BOX, NO, speed_mps=9.0)
    assert h.seen["opened"] == []


def test_an_unworn_ride_is_over_when_the_helmet_is_put_on_or_stands_for_two_minutes():
    put_on = Helmet().live(100, TABLE, NO).live(60, BOX, NO, speed_mps=6.0).live(20, RIDE, YES, speed_mps=6.0)
    stood = Helmet().live(100, TABLE, NO).live(60, BOX, NO, speed_mps=6.0).live(130, TABLE, NO, speed_mps=0.0)
    for h in (put_on, stood):
        assert len(h.seen["opened"]) == len(h.seen["over"]) == 1


def test_speed_of_a_position_worse_than_twenty_metres_opens_nothing():
    speed = unworn.speed_mps(np.array([6.0, 6.0], np.float32), np.array([35.0, 8.0], np.float32))
    assert np.isnan(speed[0]) and speed[1] == 6
