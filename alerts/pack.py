"""The incident pack: all that is known of one alert in one signed file, for insurer and authority."""

import base64
import hashlib
import hmac
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from alerts.notices import SEVERITY_EN, SEVERITY_ZH, iso
from alerts.reader import Detail

BLANKS = {
    "police_number": "",
    "police_station": "",
    "insurance_claim_number": "",
    "witnesses": "",
    "photos": [],
    "signature_of_the_person_responsible": "",
}
"""What people fill in later."""

DISCLAIMER = (
    "Impacts of a helmet were measured. Injuries are not diagnosed. 测到的是头盔受到的冲击，不是伤情诊断。"
)

# A font without the asked-for weight serves as well; nobody needs to read about it.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

_TIMES = ("occurred", "received", "detected", "alerted", "opened", "acknowledged", "resolved", "cancelled")
_CHINESE = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
)


def make(found: Detail, person: str, now_us: int, key: str) -> dict[str, Any]:
    """The pack, ready for JSON. The same alert in the same state has the same `content_sha256`."""
    content = _content(found)
    made = {"at": iso(now_us), "by": person}
    digest = _sha256(_canonical(content))
    return {
        "schema": "helmetwatch-incident-pack/1",
        "made": made,
        "content": content,
        "content_sha256": digest,
        "signature": {"algorithm": "HMAC-SHA256", "value": _sign(key, made, digest)},
    }


def genuine(pack: object, key: str) -> bool:
    """Whether a pack was made by the desk that holds this key, and not a character of it has changed."""
    try:
        content, made, given = pack["content"], pack["made"], pack["signature"]["value"]  # type: ignore[index]
        digest = _sha256(_canonical(content))
        expected = _sign(key, {"at": made["at"], "by": made["by"]}, digest)
        whole = set(pack) == {"schema", "made", "content", "content_sha256", "signature"}  # type: ignore[call-overload]
        same = whole and pack["content_sha256"] == digest and set(made) == {"at", "by"}  # type: ignore[index]
        return bool(same) and hmac.compare_digest(expected.encode(), str(given).encode(errors="replace"))
    except (KeyError, TypeError, ValueError, RecursionError, UnicodeError):
        return False


def pdf(pack: dict[str, Any]) -> bytes:
    """The pack on paper: what happened, who did what, the trace, and lines to fill in."""
    out = io.BytesIO()
    family = _fonts()
    with PdfPages(out, metadata={"Title": f"Incident {pack['content']['alert']['id']}"}) as pages:
        lines = _lines(pack)
        for start in range(0, len(lines), LINES_PAGE):
            page = Figure(figsize=(8.27, 11.69))
            text = "\n".join(lines[start : start + LINES_PAGE])
            page.text(
                0.07, 0.95, text, va="top", fontsize=8, family=family, linespacing=1.5, parse_math=False
            )
            pages.savefig(page)
        trace = pack["content"]["trace"]
        if trace is not None:
            t_s, acc_g, resultant_g = _read_csv(trace["csv"])
            pages.savefig(_figure(t_s, acc_g, resultant_g, family))
    return out.getvalue()


LINES_PAGE = 60
LINE_MAX = 105


def _content(found: Detail) -> dict[str, Any]:
    alert, newest = found.alert, (found.detections[-1] if found.detections else {})
    position = alert.position
    return {
        "alert": asdict(alert),
        "times": {name: _moment(getattr(alert, f"{name}_us")) for name in _TIMES},
        "why": {
            "reason_zh": alert.reason_zh,
            "reason_en": alert.reason_en,
            "detector": newest.get("detector", ""),
            "features": newest.get("features", {}),
            "points": newest.get("points", {}),
        },
        "place": None
        if position is None
        else asdict(position)
        | {
            "datum": "WGS-84",
            "map_links": [
                f"https://www.openstreetmap.org/?mlat={position.lat_deg}&mlon={position.lon_deg}#map=18/"
                f"{position.lat_deg}/{position.lon_deg}",
                f"https://uri.amap.com/marker?position={position.lon_deg},{position.lat_deg}&coordinate=wgs84",
            ],
        },
        "timeline": [change.entry() | {"at": iso(change.at_us)} for change in found.timeline],
        "deliveries": [asdict(delivery) for delivery in found.deliveries],
        "detections": found.detections,
        "trace": _trace(found),
        "disclaimer": DISCLAIMER,
        "to_fill_in": BLANKS,
    }


def _trace(found: Detail) -> dict[str, Any] | None:
    """CSV and picture of the acceleration, seconds counted from the first impact."""
    raw = found.trace
    if raw is None:
        return None
    counts = np.frombuffer(base64.b64decode(raw["acc"]), "<i2").reshape(-1, 3)
    acc_g = counts * float(raw["g_per_count"])
    t_s = (raw["t0_us"] - found.alert.occurred_us) / 1e6 + np.arange(len(counts)) * raw["period_ns"] / 1e9
    resultant_g = np.linalg.norm(acc_g, axis=1)
    rows = np.column_stack([t_s, acc_g, resultant_g])
    text = "t_s,x_g,y_g,z_g,resultant_g\n" + "".join(
        f"{t:.4f},{x:.4f},{y:.4f},{z:.4f},{r:.4f}\n" for t, x, y, z, r in rows.tolist()
    )
    picture = io.BytesIO()
    _figure(t_s, acc_g, resultant_g, ["DejaVu Sans"]).savefig(
        picture, format="png", dpi=110, metadata={"Software": None}
    )
    png = picture.getvalue()
    return {
        "csv": text,
        "csv_sha256": _sha256(text.encode()),
        "png_base64": base64.b64encode(png).decode(),
        "png_sha256": _sha256(png),
        "full_scale_g": raw["full_scale_g"],
        "unit": "multiples of 9.80665 m/s², specific force, axes x forward, y left, z up",
    }


def _figure(
    t_s: npt.NDArray[np.float64],
    acc_g: npt.NDArray[np.float64],
    resultant_g: npt.NDArray[np.float64],
    family: Sequence[str],
) -> Figure:
    figure = Figure(figsize=(8.27, 4.5))
    axes = figure.add_subplot()
    axes.plot(t_s, resultant_g, color="black", linewidth=1.2, label="resultant")
    for column, name in enumerate("xyz"):
        axes.plot(t_s, acc_g[:, column], linewidth=0.7, label=name)
    axes.axvline(0, color="red", linewidth=0.7)
    axes.set_xlabel("seconds from the first impact", family=family)
    axes.set_ylabel("acceleration, g", family=family)
    axes.legend(loc="upper right", fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def _read_csv(
    text: str,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rows = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=2).reshape(-1, 5)
    return rows[:, 0], rows[:, 1:4], rows[:, 4]


def _lines(pack: dict[str, Any]) -> list[str]:
    content = pack["content"]
    alert, place = content["alert"], content["place"]
    rider = alert["rider"] or {"name": "unknown 未知", "phone": ""}
    lines = [
        f"{'TEST, A DRILL 演练 — ' if alert['test'] else ''}Incident report 事故报告   {alert['id']}",
        "",
        f"Rider 骑手: {rider['name']}  {rider['phone']}     Helmet 头盔: {alert['helmet']}",
        f"Severity 冲击程度: {SEVERITY_EN[alert['severity']]} {SEVERITY_ZH[alert['severity']]} "
        f"({alert['severity_basis']}, data quality {alert['quality']})     State 状态: {alert['state']}",
        f"{alert['reason_zh']}",
        f"{alert['reason_en']}",
        content["disclaimer"],
        "",
        "Place 位置: unknown 未知"
        if place is None
        else f"Place 位置 (WGS-84): {place['lat_deg']}, {place['lon_deg']}  ± {place['accuracy_m']} m, "
        f"age {place['age_s']} s",
        *([] if place is None else place["map_links"]),
        "",
        "Times 时间 (UTC)",
        *(f"  {name}: {at}" for name, at in content["times"].items() if at),
        "",
        "Who did what 经过 (UTC)",
        *(_entry(entry) for entry in content["timeline"]),
        "",
        "Who was told 通知",
        *(
            f"  {iso(d['queued_us'])}  {d['channel']}  {d['reason']}  {d['state']}  {d['code']}  "
            + ", ".join(d["people"])
            for d in content["deliveries"]
        ),
        "",
        "To fill in 待填写",
        *(f"  {name.replace('_', ' ')}: {'_' * 50}" for name in content["to_fill_in"]),
        "",
        f"Detector 检测器: {content['why']['detector']}",
        f"Made 生成: {pack['made']['at']} {pack['made']['by']}",
        f"SHA-256 of the content: {pack['content_sha256']}",
        f"Signature: {pack['signature']['value']}",
    ]
    return [
        line[start : start + LINE_MAX] for line in lines for start in range(0, max(1, len(line)), LINE_MAX)
    ]


def _entry(entry: dict[str, Any]) -> str:
    kept = ("because", "reason", "note", "owner", "name", "status", "severity")
    said = "; ".join(f"{key}: {entry['detail'][key]}" for key in kept if entry["detail"].get(key))
    return f"  {entry['at']}  {entry['type']}  {entry['actor']}  {said}".replace("\n", " ")


def _fonts() -> list[str]:
    """Fonts of this machine that have Chinese letters, then the one that comes with matplotlib."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [*(name for name in _CHINESE if name in installed), "DejaVu Sans"]


def _moment(us: int | None) -> str | None:
    return None if us is None else iso(us)


def _canonical(content: object) -> bytes:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sign(key: str, made: dict[str, str], digest: str) -> str:
    return hmac.new(
        key.encode(), f"{made['at']}\n{made['by']}\n{digest}".encode(), hashlib.sha256
    ).hexdigest()
