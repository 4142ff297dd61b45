"""The one-line reason of a detection, in both languages, made of the same facts in the same order."""

from math import nan

from core.model import Kind, Stage, Worn
from detectors.severity import clipped

_KINDS = {
    Kind.HEAD_STRIKE: ("头部撞击", "head strike"),
    Kind.FALL: ("摔倒", "fall"),
    Kind.HELMET_LOST: ("头盔脱落", "helmet lost"),
}
_LOST_ZH, _LOST_EN = "之后失联", "then no signal"


def reason(
    stage: Stage, kind: Kind, shocks: list[dict[str, float]], f: dict[str, float], lost: bool
) -> tuple[str, str]:
    """(Chinese, English) sentence that says what made the detector decide; a lower bound says ≥."""
    top = max(shocks, key=lambda s: s["peak_g"])
    least = "≥" if clipped(top) else ""
    what_zh, what_en = _KINDS[kind]
    parts = [
        (f"{what_zh} {least}{top['peak_g']:.0f} g", f"{what_en} {least}{top['peak_g']:.0f} g"),
        (f"Δv {least}{top['dv20_mps']:.1f} m/s", f"Δv {least}{top['dv20_mps']:.1f} m/s"),
    ]
    if len(shocks) > 1:
        parts.append((f"{len(shocks)} 次撞击", f"{len(shocks)} impacts"))
    turn = f.get("tilt_deg", nan)
    turn = turn if turn == turn else f.get("tilt_early_deg", nan)
    if turn == turn:
        parts.append((f"转向 {turn:.0f}°", f"turned {turn:.0f}°"))
    if f.get("still_s", nan) >= 1:
        parts.append((f"之后静止 {f['still_s']:.0f} s", f"then still for {f['still_s']:.0f} s"))
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
    if lost:
        parts.append((_LOST_ZH, _LOST_EN))
    against = _against(stage, f)
    if against:
        parts.insert(0, against)
    return "，".join(zh for zh, _ in parts), ", ".join(en for _, en in parts)


def _against(stage: Stage, f: dict[str, float]) -> tuple[str, str] | None:
    if stage == Stage.CANCELLED:
        if f["speed_after_mps"] == f["speed_after_mps"] and f["speed_after_mps"] >= 1:
            kmh = f["speed_after_mps"] * 3.6
            return f"撤销：继续骑行 {kmh:.0f} km/h", f"withdrawn: rides on at {kmh:.0f} km/h"
        return "撤销：头盔直立且继续移动", "withdrawn: upright and moving on"
    if stage == Stage.DOWNGRADED:
        return "降级：头盔仍保持原方向", "downgraded: the helmet is upright as before"
    return None
