"""A run as a picture: a panel a scene, a line a server, a dot at the median, a bar from the lowest to the highest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from .record import Record, Spread
from .scenes import GROUPS, METRICS, SCENES
from .servers import SERVERS
from .session import BASE
from .targets import TARGETS

__all__ = ["svg"]

COLUMNS = 3
LABELS, WIDTH, GAP = 210, 230, 34  # of a panel: its names, its dots, what is left free; in pixels
LINE, HEAD, FOOT = 17, 40, 34
MARGIN, TITLE = 24, 70
FAR = 2.5  # times the upper quartile: what lies beyond is written at the edge, and the others keep their room
OURS, THEIRS, EDGE, TEXT, FAINT, TARGET = "#0b6bcb", "#8a8f98", "#d5d8dd", "#22262b", "#6b717a", "#d1495b"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Panel:
    """What one panel shows. `unit` is below its axis, `targets` the bounds of servers on it, `one` a line at 1."""

    heading: str
    title: str
    unit: str
    spreads: dict[str, Spread]
    targets: dict[str, float]
    one: bool
    write: Callable[[float], str]

    @property
    def height(self) -> int:
        return HEAD + LINE * len(self.spreads) + FOOT

    @property
    def highest(self) -> float:
        """Up to where the axis has to go."""
        medians = sorted(spread.median for spread in self.spreads.values())
        most = FAR * medians[len(medians) * 3 // 4]
        near = [min(spread.highest, most) for spread in self.spreads.values()]
        return max([*near, *self.targets.values(), *([1.0] if self.one else []), 1e-9])


def panelOf(record: Record, name: str) -> Panel | None:
    """The ratios to the base where there are any, else the values; None where nothing was measured."""
    scene = SCENES[name]
    key = scene.metrics[0]
    metric = METRICS[key]
    ratios = scene.way == "load" and bool(record.of(name, BASE))
    found = {}
    for server in SERVERS:
        if ratios:
            spread = Spread.of(record.ratios(name, server, BASE, key, metric.lower)) if server != BASE else None
        else:
            spread = Spread.of(record.values(name, server, key))
        if spread is not None:
            found[server] = spread
    if not found:
        return None
    bounds = {
        target.server: target.bound
        for target in TARGETS
        if name in target.scenes and target.against == (BASE if ratios else "") and target.metricIn(name) == key
    }
    heading = GROUPS[scene.group].split(":")[0]
    if ratios:
        unit = f"{metric.title}, as a ratio to the {SERVERS[BASE].title}"
        return Panel(heading, scene.title, unit, found, bounds, True, lambda value: f"{value:.2f}")
    unit = f"{metric.title}, {metric.unit}".rstrip(", ")
    return Panel(heading, scene.title, unit, found, bounds, False, metric.write)


def ticks(highest: float) -> list[float]:
    """Round numbers from 0 to beyond the highest, four to six of them."""
    raw = highest / 4
    power = 10 ** math.floor(math.log10(raw))
    step: float = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    return [n * step for n in range(math.ceil(highest / step) + 1)]


def text(parent: Element, x: float, y: float, content: str, size: float = 11, fill: str = TEXT, **more: str) -> None:
    element = SubElement(parent, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=fill)
    element.set("font-size", f"{size:g}")
    element.attrib.update({name.replace("_", "-"): value for name, value in more.items()})
    element.text = content


def line(
    parent: Element, x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1, **more: str
) -> None:
    points = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    element = SubElement(parent, "line", {name: f"{value:.1f}" for name, value in points.items()}, stroke=stroke)
    element.set("stroke-width", f"{width:g}")
    element.attrib.update({name.replace("_", "-"): value for name, value in more.items()})


def draw(parent: Element, panel: Panel, left: float, top: float) -> None:
    group = SubElement(parent, "g", transform=f"translate({left:.1f} {top:.1f})")
    text(group, 0, 12, panel.heading, 10.5, FAINT)
    text(group, 0, 28, panel.title, 13, font_weight="600")
    marks = ticks(panel.highest)
    bottom = HEAD + LINE * len(panel.spreads)

    def at(value: float) -> float:
        return LABELS + WIDTH * min(value / marks[-1], 1.0)

    for mark in marks:
        line(group, at(mark), HEAD, at(mark), bottom, EDGE)
        text(group, at(mark), bottom + 13, f"{mark:,.10g}", 9.5, FAINT, text_anchor="middle")
    if panel.one:
        line(group, at(1), HEAD, at(1), bottom, FAINT, 1.4)
    text(group, LABELS + WIDTH, bottom + 27, panel.unit, 9.5, FAINT, text_anchor="end")
    for n, (server, spread) in enumerate(panel.spreads.items()):
        middle = HEAD + LINE * (n + 0.5)
        kind = SERVERS[server]
        color = OURS if kind.ours else THEIRS
        row = SubElement(group, "g")
        SubElement(row, "title").text = f"{kind.title}: {spread.format(panel.write)}"
        text(
            row,
            LABELS - 8,
            middle + 3.5,
            kind.title,
            10.5,
            OURS if kind.ours else TEXT,
            text_anchor="end",
            **({"font_weight": "600"} if kind.ours else {}),
        )
        line(
            row, at(spread.lowest), middle, at(spread.highest), middle, color, 4, opacity="0.35", stroke_linecap="round"
        )
        if server in panel.targets:
            line(row, at(panel.targets[server]), middle - 6.5, at(panel.targets[server]), middle + 6.5, TARGET, 2)
        if spread.median > marks[-1]:
            text(
                row,
                at(spread.median),
                middle + 3.5,
                f"{panel.write(spread.median)} \u2192",
                10,
                color,
                text_anchor="end",
            )
        else:
            SubElement(row, "circle", cx=f"{at(spread.median):.1f}", cy=f"{middle:.1f}", r="3.8", fill=color)


def legend(parent: Element, left: float, top: float) -> None:
    for x, color, words in ((0, OURS, "CAsyncSocket"), (110, THEIRS, "others")):
        SubElement(parent, "circle", cx=f"{left + x + 4:.1f}", cy=f"{top - 4:.1f}", r="3.8", fill=color)
        text(parent, left + x + 13, top, words, 11)
    line(parent, left + 182, top - 4, left + 206, top - 4, THEIRS, 4, opacity="0.35", stroke_linecap="round")
    text(parent, left + 213, top, "lowest to highest", 11)
    line(parent, left + 330, top - 10, left + 330, top + 3, TARGET, 2)
    text(parent, left + 338, top, "the target", 11)


def svg(record: Record) -> str:
    """The whole picture."""
    panels = [panel for name in SCENES if name in record.measured and (panel := panelOf(record, name)) is not None]
    columns = min(COLUMNS, max(1, len(panels)))
    places = []
    top = float(TITLE)
    for n in range(0, len(panels), columns):
        across = panels[n : n + columns]
        places += [(panel, MARGIN + i * (LABELS + WIDTH + GAP), top) for i, panel in enumerate(across)]
        top += max(panel.height for panel in across) + GAP / 2
    width = max(2 * MARGIN + columns * (LABELS + WIDTH + GAP) - GAP, 620)
    height = top + MARGIN / 2
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": f"{width:.0f}",
            "height": f"{height:.0f}",
            "viewBox": f"0 0 {width:.0f} {height:.0f}",
            "font-family": FONT,
        },
    )
    SubElement(root, "rect", width="100%", height="100%", fill="#ffffff")
    text(root, MARGIN, 30, "twisted_casync side by side", 17, font_weight="700")
    about = ", ".join(
        f"{name} {value}" for name, value in record.machine.items() if name in ("Python", "Twisted", "system")
    )
    legend(root, MARGIN, 52)
    text(root, width - MARGIN, 52, about, 10.5, FAINT, text_anchor="end")
    for panel, left, top in places:
        draw(root, panel, left, top)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
