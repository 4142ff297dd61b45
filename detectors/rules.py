"""From features to a verdict: points for each piece of evidence, and guards that points cannot buy off.

The table with its reasons stands in docs/detection.md. What is unknown adds nothing and takes nothing away.
"""

from dataclasses import dataclass
from math import nan

from core.config import Detection as Params
from core.model import Kind, Stage, Worn

_WALKING = 0.55
_SHARP_S = 0.055
"""Width at half height: lab strikes stay within 0.05 s at 100 Hz, a kerb that reads 12 g takes 0.06 s or more."""
_BEYOND_ROADS = 1.5
"""So many times the peak of a strike no road gives, however wide."""
HARD_PEAK_G = 4.0
_NO_GRAVITY_G = 4.0
"""Median of the resultant over 0.6 s that no tumble reaches: m/s² sent as g reads 9.8."""
LYING_DEG = 65.0
"""Who stumbles and catches himself bends by 50° to 63° for up to 2 s; who fell gently lay at 85° or more."""
_GENTLE_G, _SURE_G = 0.6, 1.15
"""The gentlest fall, and the violence from which a turn within a second is believed.

Six of 75 acted near-falls reach it, and bend by 27° at most."""
_STANDS_OUT = 1.2
_UPSET_G, _UPSET = 0.2, 1.5
"""What is around a blow must shake at least so much, and around a lone sample so many times as much as before."""
_RESTS_S = 2.0
_THING_G = 0.02
"""Largest deviation of an axis of a helmet on a table, at ±16 and ±32 g; breathing moves a head 0.03 g."""
_STOPPED_S, _LEANS_DEG = 6.0, 15.0
_CUT_S = 1.2
"""Where no more samples will come, so much of the aftermath is enough to confirm."""
_FREE_FALL_S = 0.25
"""No acted fall has this, every dropped and thrown phone has."""
_LAY_G = 0.006
RIDES_ON = "rides_on"
"""The point that says why an alert is withdrawn."""
_SOON = ("tilt_early_deg", "tilt_2s_deg", "tilt_3s_deg")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one impact is worth at one moment."""

    stage: Stage | None
    """FAST, STANDARD or CONFIRMED: an alert; None: none."""
    against: Stage | None
    """CANCELLED or DOWNGRADED where the aftermath contradicts an alert."""
    kind: Kind
    points: dict[str, float]


def is_strike(f: dict[str, float], p: Params) -> bool:
    """Whether the blow is one that only a head strike or a dropped helmet gives."""
    return strike_margin(f, p) >= 1 and not is_fault(f) and not is_spike(f)


def strike_margin(f: dict[str, float], p: Params) -> float:
    """How far the blow reaches into what counts as a head strike: 1 or more is one."""
    wide = _BEYOND_ROADS if f["width_s"] > _SHARP_S else 1.0
    return min(f["peak_g"] / (wide * p.strike_g), f["dv20_mps"] / p.strike_dv20_mps)


def is_spike(f: dict[str, float]) -> bool:
    """Whether a single sample stands alone, and the motion around it is what it was before.

    At 100 Hz a real blow of 6 ms is a single sample too; but who falls is unloaded before it and shaken after it.
    """
    upset = f["around_g"] >= _UPSET_G and not f["around_g"] < _UPSET * f["vibration_before_g"]
    return bool(f["lone_sample"]) and not upset


def is_fall(f: dict[str, float], p: Params) -> bool:
    """Whether the motion within 0.3 s of the peak is violent enough for a body that falls.

    And not the peak alone: a helmet that is put down hard knocks, a body unloads before it hits and shakes after it.
    """
    return f["violence_g"] >= p.fall_violence_g and f["around_g"] >= _UPSET_G and not is_fault(f)


def is_hard(f: dict[str, float], p: Params) -> bool:
    """Whether the blow counts as an impact of an incident that is already open."""
    return is_fall(f, p) and f["violence_g"] >= p.hard_violence_g and f["peak_g"] >= HARD_PEAK_G


def is_fault(f: dict[str, float]) -> bool:
    """Whether the sensor rather than the helmet made it: an axis at its rail, or a wrong scale."""
    return f["rail_s"] > 0.1 or f["rest_g"] > 1.5 or f["median_g"] > _NO_GRAVITY_G


def is_lost(f: dict[str, float], p: Params) -> bool:
    """Whether a helmet that is off the head fell freely from a ride: off its rider, or off the handlebar.

    Where the bit went off just before, this is only the name of the alert: it may be the crash itself.
    """
    off = f["worn"] == Worn.NO or f["flip"] == 1
    hit = is_strike(f, p) or is_hard(f, p)
    return off and f["riding"] == 1 and f["free_fall_s"] >= _FREE_FALL_S and hit


def judge(f: dict[str, float], p: Params, horizon_s: float, cut: bool) -> Verdict:
    """Judges one impact at `horizon_s` after it; `cut` where no more samples will come."""
    strike, fall = is_strike(f, p), is_fall(f, p)
    lost = is_lost(f, p)
    kind = Kind.HELMET_LOST if lost else Kind.HEAD_STRIKE if strike else Kind.FALL
    stopped = strike and _ended_ride(f, p, horizon_s)
    points = _points(f, p, strike, fall, stopped)
    total = sum(points.values())
    stage: Stage | None = None
    if total >= p.alert_points and f["worn"] != Worn.NO:
        if horizon_s >= (_CUT_S if cut else 2.0) and _confirms(f, p, strike, fall, stopped, horizon_s, cut):
            stage = Stage.CONFIRMED
        elif strike and f["riding"] != 0 and not _on_foot(f):
            stage = Stage.FAST
        elif (horizon_s >= 0.85 or cut) and is_hard(f, p) and _turned_at_once(f):
            stage = Stage.STANDARD
    elif lost and f["worn"] == Worn.NO:
        stage = Stage.STANDARD
    against = _contradiction(f, p, horizon_s, stopped)
    return Verdict(stage if against is None else None, against, kind, points)


def withdraw(stage: Stage, confirmed: bool, verdict: Verdict) -> Stage:
    """What is left of an alert when its last impact is judged again; `confirmed` where it ever was.

    Somebody who was lifted up is still somebody who fell: a confirmed incident is lowered by riding on, never by
    standing up, and never taken back altogether.
    """
    if verdict.against is None or stage == Stage.CANCELLED:
        return stage
    if confirmed:
        return Stage.DOWNGRADED if RIDES_ON in verdict.points else stage
    return verdict.against


def _points(f: dict[str, float], p: Params, strike: bool, fall: bool, stopped: bool) -> dict[str, float]:
    tilt = max((f.get(k, nan) for k in ("tilt_deg", "tilt_early_deg")), key=lambda x: (x == x, x))
    rested = f.get("tilt_deg", nan)
    moving = _moving(f, p)
    out = {
        "impact": 2.0 if strike else 1.5 if is_hard(f, p) else 1.0 if fall else 0.0,
        "dv20": 0.0 if not strike else 1.0 if f["dv20_mps"] >= 2.0 else 0.5,
        "clipped": 0.5 if strike and (f["clip_n"] or f["hidden_clip"]) else 0.0,
        "tilt": 2.0 if tilt >= 60 else 1.0 if tilt >= 45 else 0.0,
        "upright": -1.5 if rested < 20 else 0.0,
        "riding": 1.0 if f["riding"] == 1 else -1.0 if f["riding"] == 0 else 0.0,
        "worn": 0.5 if f["worn"] == Worn.YES else -3.0 if f["worn"] == Worn.NO else 0.0,
        "still": 0.5 if f.get("still_s", nan) >= 1.0 else 0.0,
        "stopped": 1.0 if stopped else 0.0,
        "moving": -1.0 if moving and rested < p.upright_deg else 0.0,
        RIDES_ON: -3.0 if _rides_on(f, p) else 0.0,
        "knock": -4.0 if _at_rest(f) and f["around_g"] < _UPSET_G else 0.0,
        "free_fall": -4.0 if _at_rest(f) and f["free_fall_s"] >= _FREE_FALL_S else 0.0,
    }
    return {name: value for name, value in out.items() if value}


def _confirms(
    f: dict[str, float], p: Params, strike: bool, fall: bool, stopped: bool, horizon_s: float, cut: bool
) -> bool:
    """Whether the helmet was turned by the impact and stayed turned."""
    late = f.get("tilt_deg", nan)
    soon = [x for x in (f.get(k, nan) for k in _SOON) if x == x]
    if not soon or not (strike or fall):
        return False
    if strike or (is_hard(f, p) and f["violence_g"] >= _SURE_G):
        sure = strike or late >= LYING_DEG or horizon_s >= 6 or cut
        if sure and late >= p.tilt_deg and max(soon) >= p.tilt_deg:
            return True
        if _turned_at_once(f) and (late >= p.upright_deg or (cut and late != late)):
            return True
        return stopped
    lies_deg = _lying_deg(f["violence_g"], p)
    held = "tilt_2s_deg" if cut and is_hard(f, p) and "tilt_3s_deg" not in f else "tilt_3s_deg"
    return _at_least(f, held, lies_deg) and late >= lies_deg and not _put_down(f, p)


def _contradiction(f: dict[str, float], p: Params, horizon_s: float, stopped: bool) -> Stage | None:
    if horizon_s < 2:
        return None
    if _rides_on(f, p):
        return Stage.CANCELLED
    upright = f.get("tilt_deg", nan) < p.upright_deg
    if upright and _moving(f, p):
        return Stage.CANCELLED
    return Stage.DOWNGRADED if upright and horizon_s >= 10 and not stopped else None


def _lying_deg(violence_g: float, p: Params) -> float:
    """The turn of somebody who lies: the gentler the blow, the further."""
    gentle = min(1.0, max(0.0, (_SURE_G - violence_g) / (_SURE_G - _GENTLE_G)))
    return p.tilt_deg + gentle * max(0.0, LYING_DEG - p.tilt_deg)


def _turned_at_once(f: dict[str, float]) -> bool:
    """Whether the helmet lay within a second of a blow that stood out from what went before.

    A mean over 0.3 s of running is not gravity; only a blow harder than the running makes it worth believing.
    """
    stands_out = not f["violence_g"] < _STANDS_OUT * f["vibration_before_g"]
    return stands_out and _at_least(f, "tilt_early_deg", LYING_DEG)


def _rides_on(f: dict[str, float], p: Params) -> bool:
    """Whether speed says so and the helmet does not lie motionless: then the speed is an old one."""
    return f["speed_after_mps"] >= p.riding_mps and not f.get("still_s", nan) >= _RESTS_S


def _put_down(f: dict[str, float], p: Params) -> bool:
    """Whether the helmet was turned before a gentle blow and lies as still as a thing: a hand put it there."""
    gentle = f["violence_g"] < p.hard_violence_g
    return gentle and _at_least(f, "tilt_pre_deg", LYING_DEG) and f["spread_g"] <= _THING_G


def _ended_ride(f: dict[str, float], p: Params, horizon_s: float) -> bool:
    """Whether there was riding until the blow, and since then a helmet that leans a little and does not stir.

    Upright as before would also be a vehicle that stands at a red light.
    """
    if f["riding"] == f["riding"]:
        rode = f["riding"] == 1
    else:
        rode = f["vibration_before_g"] >= p.riding_vibration_g and not _on_foot(f)
    leans = f.get("tilt_deg", nan) >= _LEANS_DEG
    return horizon_s >= 10 and rode and leans and f.get("still_s", nan) >= _STOPPED_S


def _at_rest(f: dict[str, float]) -> bool:
    """Whether speed says that nobody rode; where it is unknown, whether the helmet lay motionless."""
    if f["riding"] == f["riding"]:
        return f["riding"] == 0
    return f["vibration_before_g"] <= _LAY_G


def _on_foot(f: dict[str, float]) -> bool:
    """Whether somebody walked until the blow, where speed does not say: a door frame is no crash."""
    return f["riding"] != f["riding"] and f["walking_before"] >= _WALKING


def _moving(f: dict[str, float], p: Params) -> bool:
    return f.get("vibration_g", nan) >= p.riding_vibration_g or f.get("walking", nan) >= _WALKING


def _at_least(f: dict[str, float], name: str, value: float) -> bool:
    return f.get(name, nan) >= value
