"""How bad it looks to the desk, 1 minor … 4 critical, and how far the sensor can be trusted with that."""

from typing import Literal

Quality = Literal["A", "B", "C", "D"]
Basis = Literal["kinematic", "lower_bound", "context"]

_VALID_RANGE = 0.6
"""Share of its range up to which the Δv of a ±16 g part is right to within 5 %: beyond it may have clipped unseen."""

_MAGNITUDES = ("helmet_pla_g", "dv20_mps", "dv50_mps")


def quality(fs_hz: float, full_scale_g: float) -> Quality:
    """What the part can know: A everything, B Δv and peak roughly, C lower bounds, D only that it happened."""
    if fs_hz >= 995 and full_scale_g >= 200:
        return "A"
    if fs_hz >= 195 and full_scale_g >= 100:
        return "B"
    return "C" if fs_hz >= 95 else "D"


def knows(grade: Quality, feature: str) -> bool:
    """Whether a part of this quality can know a feature at all; what it cannot is not published."""
    return grade != "D" or feature not in _MAGNITUDES


def least(grade: Quality, f: dict[str, float]) -> tuple[bool, bool]:
    """Whether a blow's peak and its Δv are lower bounds."""
    beyond = clipped(f) or bool(f["partial"])
    return grade != "A" or beyond, beyond or (grade == "C" and f["range_used"] >= _VALID_RANGE)


def clipped(f: dict[str, float]) -> bool:
    """Whether the blow went, or may have gone, beyond the range: then every magnitude is a lower bound."""
    return bool(f["clip_n"] or f["hidden_clip"])


def severity(shocks: list[dict[str, float]], f: dict[str, float], grade: Quality) -> tuple[int, Basis]:
    """Level of an incident from all its impacts and the features of the newest decision `f`."""
    pla = max(s["helmet_pla_g"] for s in shocks)
    # A part of 50 Hz misjudges Δv in both directions, its peak only downwards.
    dv20 = max(s["dv20_mps"] for s in shocks) if grade != "D" else 0.0
    hic = max(s.get("helmet_hic15", 0.0) for s in shocks)
    whole = not any(clipped(s) or s["partial"] for s in shocks)
    basis: Basis = "kinematic" if grade == "A" and whole else "lower_bound"
    level = 1
    if pla >= 40 or dv20 >= 2:
        level = 2
    if pla > 100 or hic > 250 or dv20 > 4:
        level = 3
    if pla > 200 or hic > 700:
        level = 4
    if grade in "CD":
        strikes = sum(clipped(s) for s in shocks)
        fast = f["speed_mps"] > 30 / 3.6
        level = max(level, 3 if strikes >= 2 or (strikes and fast) else 2 if strikes else 1)
    if level in (2, 3) and f.get("still_s", 0.0) >= 8:
        return level + 1, "context"
    return level, basis
