"""The incident pack on paper: what happened, who did what, the trace, and lines to fill in."""

import io
import logging
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import structlog
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from alerts.notices import SEVERITY_EN, SEVERITY_ZH, iso

A4_IN = (8.27, 11.69)
LEFT, RIGHT, TOP, FOOT = 0.07, 0.93, 0.955, 0.06
"""The margins, in shares of the page."""

# A font without the asked-for weight serves as well; nobody needs to read about it.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

_CHINESE = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
)

_NEVER_FIRST = "，。；：、！？）”"
"""What a line of Chinese never begins with."""


class Line(NamedTuple):
    """One line of text, which may be longer than the page is wide."""

    text: str
    size_pt: float = 8.5
    bold: bool = False


def pdf(pack: dict[str, Any]) -> bytes:
    """The pack as a PDF file."""
    out, family = io.BytesIO(), list(_fonts())
    fitting = [piece for line in _lines(pack) for piece in _broken(line)]
    pages = list(_pages(fitting))
    id_ = pack["content"]["alert"]["id"]
    foot = f"{id_}   SHA-256 {pack['content_sha256']}"
    with PdfPages(out, metadata={"Title": f"Incident {id_}"}) as file:
        for number, lines in enumerate(pages, 1):
            page = Figure(figsize=A4_IN)
            y = TOP
            for line in lines:
                page.text(LEFT, y, line.text, va="top", family=family, **_style(line))
                y -= _height(line)
            page.text(LEFT, 0.03, f"{foot}   {number}/{len(pages)}", fontsize=6, family=family, color="0.4")
            file.savefig(page)
        trace = pack["content"]["trace"]
        if trace is not None:
            file.savefig(picture(*_read_csv(trace["csv"]), trace["full_scale_g"], family))
    return out.getvalue()


def picture(
    t_s: npt.NDArray[np.float64],
    acc_g: npt.NDArray[np.float64],
    full_scale_g: float,
    family: list[str] | None = None,
) -> Figure:
    """The acceleration (n, 3) in g over seconds from the first impact.

    Without `family` it has no Chinese letters and is the same on every machine.
    """
    seconds, strength = "seconds from the first impact", "acceleration, g"
    if family:
        seconds, strength = f"{seconds} 相对首次撞击（秒）", f"{strength} 加速度"
    figure = Figure(figsize=(A4_IN[0], 4.5))
    axes = figure.add_subplot()
    size_g = np.linalg.norm(acc_g, axis=1)
    axes.plot(t_s, size_g, color="black", linewidth=1.2, label="resultant")
    for column, name in enumerate("xyz"):
        axes.plot(t_s, acc_g[:, column], linewidth=0.7, label=name)
    axes.axvline(0, color="red", linewidth=0.7)
    if size_g.max(initial=0) > 0.6 * full_scale_g:
        axes.axhline(full_scale_g, color="red", linewidth=0.7, linestyle="--", label="limit of the sensor")
    axes.set_xlabel(seconds, family=family or "DejaVu Sans")
    axes.set_ylabel(strength, family=family or "DejaVu Sans")
    axes.legend(loc="upper right", fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def _lines(pack: dict[str, Any]) -> list[Line]:
    content = pack["content"]
    alert = content["alert"]
    rider = alert["rider"] or {"name": "unknown 未知", "phone": ""}
    signature = pack["signature"]

    def part(title: str, lines: list[str]) -> list[Line]:
        return [Line(""), Line(title, 10, bold=True), *map(Line, lines)]

    return [
        Line(f"{'TEST, A DRILL 演练 — ' if alert['test'] else ''}Incident report 事故报告", 16, bold=True),
        Line(alert["id"]),
        Line(""),
        Line(f"Rider 骑手: {rider['name']}  {rider['phone']}     Helmet 头盔: {alert['helmet']}", 10),
        Line(
            f"Severity 冲击程度: {SEVERITY_EN[alert['severity']]} {SEVERITY_ZH[alert['severity']]} "
            f"({alert['severity_basis']}, data quality {alert['quality']})     State 状态: {alert['state']}"
        ),
        Line(alert["reason_zh"]),
        Line(alert["reason_en"]),
        Line(content["disclaimer"]),
        *part("Place 位置", _place(content["place"])),
        *part("Times 时间 (UTC)", [f"  {name}: {at}" for name, at in content["times"].items() if at]),
        *part("Who did what 经过 (UTC)", [_entry(entry) for entry in content["timeline"]]),
        *part("Who was told 通知", [_delivery(each) for each in content["deliveries"]] or ["  nobody 无"]),
        *part(
            "To fill in 待填写", [f"  {name.replace('_', ' ')}: {'_' * 50}" for name in content["to_fill_in"]]
        ),
        *part(
            "Origin 来源",
            [
                f"Detector 检测器: {content['why']['detector']}",
                f"Made 生成: {pack['made']['at']} {pack['made']['by']}",
                f"SHA-256 of the content 内容摘要: {pack['content_sha256']}",
                f"Signature 签名 ({signature['algorithm']}): {signature['value']}",
                f"Fingerprint of the public key 公钥指纹: {signature['key_sha256']}",
            ],
        ),
    ]


def _place(place: dict[str, Any] | None) -> list[str]:
    if place is None:
        return ["  unknown 未知"]
    accuracy, age = (
        "unknown 未知" if value is None else f"{value:g} {unit}"
        for value, unit in ((place["accuracy_m"], "m"), (place["age_s"], "s"))
    )
    return [
        f"  {place['lat_deg']}, {place['lon_deg']} (WGS-84)     accuracy 误差: {accuracy}     "
        f"age of the fix 定位早于撞击: {age}",
        *(f"  {link}" for link in place["map_links"]),
    ]


def _entry(entry: dict[str, Any]) -> str:
    kept = ("because", "reason", "note", "owner", "name", "status", "severity")
    said = "; ".join(f"{key}: {entry['detail'][key]}" for key in kept if entry["detail"].get(key))
    return f"  {entry['at']}  {entry['type']}  {entry['actor']}  {said}"


def _delivery(d: dict[str, Any]) -> str:
    people = ", ".join(d["people"])
    return f"  {iso(d['queued_us'])}  {d['channel']}  {d['reason']}  {d['state']}  {d['code']}  {people}"


def _pages(lines: list[Line]) -> Iterator[list[Line]]:
    page: list[Line] = []
    left = TOP - FOOT
    for line in lines:
        if _height(line) > left:
            yield page
            page, left = [], TOP - FOOT
        page.append(line)
        left -= _height(line)
    yield page


def _height(line: Line) -> float:
    return 1.5 * line.size_pt / 72 / A4_IN[1]


def _style(line: Line) -> dict[str, Any]:
    weight = "bold" if line.bold else "normal"
    return {"fontsize": line.size_pt, "weight": weight, "parse_math": False}


def _broken(line: Line) -> Iterator[Line]:
    """The line in pieces that fit between the margins; at a space where one is near the end."""
    text = line.text.replace("\n", " ")
    while (fits := _fitting(text, line)) < len(text):
        space = text.rfind(" ", fits * 2 // 3, fits)
        end = space + 1 if space >= 0 else fits
        while end > 1 and text[end] in _NEVER_FIRST:
            end -= 1
        yield line._replace(text=text[:end].rstrip())
        text = f"    {text[end:].lstrip()}"
    yield line._replace(text=text)


def _fitting(text: str, line: Line) -> int:
    """How many of the first characters fit: letters differ in width, Chinese ones most of all."""
    if _width(text, line.size_pt, line.bold) <= RIGHT - LEFT:
        return len(text)
    low, high = 1, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        if _width(text[:middle], line.size_pt, line.bold) <= RIGHT - LEFT:
            low = middle
        else:
            high = middle
    return low


def _width(text: str, size_pt: float, bold: bool) -> float:
    """The width of a text in shares of the page's."""
    page, renderer = _ruler()
    drawn = page.text(0, 0, text, family=list(_fonts()), **_style(Line(text, size_pt, bold)))
    width = drawn.get_window_extent(renderer).width
    drawn.remove()
    return float(width) / (A4_IN[0] * page.dpi)


@cache
def _ruler() -> tuple[Figure, Any]:
    page = Figure(figsize=A4_IN, dpi=288)
    canvas: Any = FigureCanvasAgg(page)
    return page, canvas.get_renderer()


@cache
def _fonts() -> tuple[str, ...]:
    """Fonts of this machine that have Chinese letters, then the one that comes with matplotlib."""
    manager = font_manager.fontManager
    installed = {font.name for font in manager.ttflist}
    if not installed & set(_CHINESE):
        # matplotlib remembers the fonts of its first start and does not see those installed since.
        for path in font_manager.findSystemFonts():
            try:
                manager.addfont(path)
            except (OSError, RuntimeError):
                continue  # not every file of a font folder is a font that it can read
        installed = {font.name for font in manager.ttflist}
    found = [name for name in _CHINESE if name in installed]
    if not found:
        structlog.get_logger().warning("pack.no_chinese_font", wanted=_CHINESE)
    return (*found, "DejaVu Sans")


def _read_csv(text: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rows = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=2).reshape(-1, 5)
    return rows[:, 0], rows[:, 1:4]
