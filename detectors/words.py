"""The one-line reason of a detection, in both languages, made of the same facts in the same order."""

from math import floor, nan

from core.model import Kind, Stage, Worn
from detectors.rules import RIDES_ON
from detectors.severity import Quality, least
from detectors.watch import Decision

_KINDS = {
    Kind.HEAD_STRIKE: ("头部撞击", "head strike"),
    Kind.FALL: ("摔倒", "fall"),
    Kind.HELMET_LOST: ("头盔脱落", "helmet lost"),
}
_AGAINST = {Stage.CANCELLED: ("撤销", "withdrawn"), Stage.DOWNGRADED: ("降级", "downgraded")}
_LOST_ZH, _LOST_EN = "之后失联", "then no signal"


def reason(decision: Decision, grade: Quality) -> tuple[str, str]:
    """(Chinese, English) sentence that says what made the detector decide; a lower bound says ≥.

    What a part of this quality cannot know is not there: a slow one says only that it happened.
    """
    incident, f = decision.incident, decision.features
    shocks = [impact.shock for impact in incident.impacts]
    top = max(shocks, key=lambda s: s["peak_g"])
    parts = [_KINDS[incident.kind]]
    if grade != "D":
        peak, dv = least(grade, top)
        what_zh, what_en = parts.pop()
        force = f"{_number(top['peak_g'], 0, peak)} g"
        change = f"Δv {_number(top['dv20_mps'], 1, dv)} m/s"
        parts += [(f"{what_zh} {force}", f"{what_en} {force}"), (change, change)]
    if len(shocks) > 1:
        parts.append((f"{len(shocks)} 次撞击", f"{len(shocks)} impacts"))
    turn = f.get("tilt_deg", nan)
    turn = turn if turn == turn else f.get("tilt_early_deg", nan)
    if turn == turn:
        parts.append((f"转向 {turn:.0f}°", f"turned {turn:.0f}°"))
    if f.get("still_s", nan) >= 1:
        still = f"{round(f['still_s'], 1):g} s"
        parts.append((f"之后静止 {still}", f"then still for {still}"))
    if f["riding"] == 1 or f["riding"] == 0:
        speed = "" if f["speed_mps"] != f["speed_mps"] else f" {f['speed_mps'] * 3.6:.0f} km/h"
        parts.append(
            (f"骑行中{speed}", f"riding{speed}") if f["riding"] else ("未骑行", "not riding"),
        )
    parts.append(
        {Worn.YES: ("佩戴中", "worn"), Worn.NO: ("未佩戴", "not worn")}.get(
            Worn(int(f["worn"])), ("佩戴未知", "wear unknown")
        )
    )
    if incident.lost:
        parts.append((_LOST_ZH, _LOST_EN))
    against = _against(incident.stage, decision.points, f)
    if against:
        parts.insert(0, against)
    return "，".join(zh for zh, _ in parts), ", ".join(en for _, en in parts)


def _number(value: float, digits: int, bound: bool) -> str:
    """A lower bound is never rounded up: it would say more than is known."""
    if not bound:
        return f"{value:.{digits}f}"
    scale = 10**digits
    return f"≥{floor(value * scale + 1e-9) / scale:.{digits}f}"


def _against(stage: Stage, points: dict[str, float], f: dict[str, float]) -> tuple[str, str] | None:
    if stage not in _AGAINST:
        return None
    zh, en = _AGAINST[stage]
    if RIDES_ON in points:
        kmh = f["speed_after_mps"] * 3.6
        return f"{zh}：继续骑行 {kmh:.0f} km/h", f"{en}: rides on at {kmh:.0f} km/h"
    if stage == Stage.CANCELLED:
        return f"{zh}：头盔直立且继续移动", f"{en}: upright and moving on"
    return f"{zh}：头盔仍保持原方向", f"{en}: the helmet is upright as before"
