"""
A sequence diagram as SVG.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

from twisted_casync.trace._picture import Column, Picture, Row

__all__ = ["drawn"]

# Pixels.
_CHARACTER: Final = 7.25
"""The width of a character of the text, of which all are as wide."""
_SMALL: Final = 6.1
"""That of small text."""
_LINE: Final = 21
_HEAD: Final = 44
_MARGIN: Final = 24
_CLOCK: Final = 92
"""The width of the times at the left."""
_BAR: Final = 5
"""Half the width of the bar that a notification is."""
_INDENT: Final = 14
_PAUSE: Final = 10_000_000
"""Nanoseconds between two rows from which on the picture says that nothing happened."""

_STYLE: Final = """
text { font-family: monospace; font-size: 12px; fill: #1f2933; }
.small { font-size: 10px; fill: #64748b; }
.title { font-weight: bold; fill: #ffffff; text-anchor: middle; }
.address { fill: #334155; text-anchor: middle; }
.under { font-size: 10px; fill: #dbe7f3; text-anchor: middle; }
.clock { font-size: 10px; fill: #94a3b8; text-anchor: end; }
.told { font-weight: bold; fill: #1d4e89; }
.failed { fill: #b42318; }
.moves { font-size: 11px; fill: #0f766e; text-anchor: middle; }
.moves.failed { fill: #b42318; }
.moves.urgent { fill: #b45309; }
.note { font-size: 11px; fill: #64748b; font-style: italic; }
.life { stroke: #94a3b8; }
.unborn { stroke: #d6dee8; stroke-dasharray: 2 4; }
.bar { fill: #dbeafe; stroke: #1d4e89; stroke-width: 0.8; }
.arrow { stroke: #0f766e; stroke-width: 1.3; }
.arrow.failed { stroke: #b42318; }
.arrow.urgent { stroke: #b45309; }
.end { stroke: #475569; stroke-width: 1.6; }
"""


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:,.3f} ms"


def _short(nanoseconds: int) -> str:
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1e3:.0f} µs"
    return f"{nanoseconds / 1e6:.1f} ms" if nanoseconds < 1_000_000_000 else f"{nanoseconds / 1e9:.1f} s"


@dataclass
class _Placed:
    """
    A row where it stands.
    """

    row: Row
    y: float
    pause: int


def _escaped(text: str) -> str:
    """
    XML knows no control characters, whichever way they are written.
    """
    return escape("".join(one if one.isprintable() else "\N{MIDDLE DOT}" for one in text), quote=False)


class _Sheet:
    """
    The drawing as it grows.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._out: list[str] = []
        self._x = self._across()
        self._placed = self._down()
        self._bottom = (self._placed[-1].y if self._placed else _HEAD + _MARGIN * 2) + _LINE

    # -- where things stand

    def _across(self) -> list[float]:
        """
        A column stands so far from the one before it as what is written there needs.
        """
        columns = self._picture.columns
        room = [_INDENT * 2.0] * (len(columns) + 1)
        for row in self._picture.rows:
            if row.to is None:
                spent = 8 if row.handler else 0
                needed = (len(row.text) + spent) * _CHARACTER + _INDENT * (3 if row.within else 2)
                room[row.column + 1] = max(room[row.column + 1], needed)
        for left in range(1, len(columns)):
            heads = self._half(columns[left - 1]) + self._half(columns[left]) + 12
            arrows = [
                len(row.text) * _CHARACTER + 40
                for row in self._picture.rows
                if row.to is not None and {row.column, row.to} == {left - 1, left}
            ]
            room[left] = max(room[left], heads, *arrows)
        places = []
        x = _CLOCK + _MARGIN + (self._half(columns[0]) if columns else 0)
        for space in [0.0, *room[1:]]:
            x += space
            places.append(x)
        # The last one is the right edge.
        if columns:
            places[-1] = max(places[-1], places[-2] + self._half(columns[-1])) + _MARGIN
        return places

    @staticmethod
    def _half(column: Column) -> float:
        return max(len(column.title) * _CHARACTER, len(column.subtitle) * _SMALL) / 2 + 12

    def _down(self) -> list[_Placed]:
        placed = []
        y = float(_MARGIN + _HEAD + _LINE)
        before: Row | None = None
        for row in self._picture.rows:
            pause = row.when - before.when if before is not None else 0
            if pause >= _PAUSE:
                y += _LINE
            elif before is not None and not row.within and row.to is None and row.column != before.column:
                y += _LINE / 3
            placed.append(_Placed(row, y, pause if pause >= _PAUSE else 0))
            y += _LINE
            before = row
        return placed

    # -- drawing

    def _put(self, text: str) -> None:
        self._out.append(text)

    def _line(self, x1: float, y1: float, x2: float, y2: float, style: str, more: str = "") -> None:
        self._put(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"{more}/>')

    def _text(self, x: float, y: float, text: str, style: str = "", tail: str = "") -> None:
        kind = f' class="{style}"' if style else ""
        behind = f'<tspan class="small" dx="8">{tail}</tspan>' if tail else ""
        self._put(f'<text x="{x:.1f}" y="{y:.1f}"{kind}>{_escaped(text)}{behind}</text>')

    def draw(self) -> str:
        width, height = self._x[-1], self._bottom + _HEAD + _MARGIN
        title = self._picture.note
        self._lives()
        self._bars()
        for one in self._placed:
            self._row(one)
        for y in (float(_MARGIN), self._bottom):
            for x, column in zip(self._x, self._picture.columns, strict=False):
                self._head(x, y, column)
        if title:
            height += _LINE
            self._text(_MARGIN, height - _MARGIN / 2, title, "note")
            width = max(width, len(title) * _CHARACTER + _MARGIN * 2)
        markers = "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            f'orient="auto-start-reverse"><path d="M0 0.5 L8 4 L0 7.5 Z" fill="{colour}"/></marker>'
            for name, colour in (("to", "#0f766e"), ("to-failed", "#b42318"), ("to-urgent", "#b45309"))
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
                f'viewBox="0 0 {width:.0f} {height:.0f}">',
                f"<style>{_STYLE}</style>",
                f"<defs>{markers}</defs>",
                f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
                *self._out,
                "</svg>\n",
            ]
        )

    def _head(self, x: float, y: float, column: Column) -> None:
        half = self._half(column)
        fill = 'fill="#1d4e89"' if column.isSocket else 'fill="#f1f5f9" stroke="#94a3b8" stroke-dasharray="4 3"'
        self._put(f'<rect x="{x - half:.1f}" y="{y}" width="{half * 2:.1f}" height="{_HEAD - 8}" rx="5" {fill}/>')
        style = "title" if column.isSocket else "address"
        self._text(x, y + (16 if column.subtitle else 22), column.title, style)
        if column.subtitle:
            self._text(x, y + 29, column.subtitle, "under")

    def _yOf(self, row: int | None, otherwise: float) -> float:
        if row is None:
            return otherwise
        if row < len(self._placed):
            return self._placed[row].y - _LINE / 2
        return self._bottom - _LINE / 2

    def _lives(self) -> None:
        top, bottom = float(_MARGIN + _HEAD - 8), self._bottom
        for number in range(len(self._picture.columns)):
            x = self._x[number]
            begun, ended = self._picture.lives.get(number, (None, None))
            start, end = self._yOf(begun, top), self._yOf(ended, bottom)
            self._line(x, top, x, bottom, "unborn")
            self._line(x, start, x, end, "life")

    def _bars(self) -> None:
        handlers = {one.row.handler: one for one in self._placed if one.row.handler}
        ends = {number: one.y for number, one in handlers.items()}
        for one in self._placed:
            if one.row.within in ends and one.row.column == handlers[one.row.within].row.column:
                ends[one.row.within] = one.y
        for number, one in handlers.items():
            x, y = self._x[one.row.column], one.y - 12
            self._put(
                f'<rect x="{x - _BAR}" y="{y:.1f}" width="{_BAR * 2}" height="{ends[number] - y + 5:.1f}" class="bar"/>'
            )

    def _row(self, one: _Placed) -> None:
        row, y = one.row, one.y
        if one.pause:
            self._text(_MARGIN, y - _LINE, f"… {_short(one.pause)} later", "note")
        x = self._x[row.column]
        if row.to is not None:
            self._arrow(x, self._x[row.to], y, row)
            return
        self._text(_CLOCK, y, _milliseconds(row.when), "clock")
        style = " ".join(["told"] * bool(row.handler) + ["failed"] * row.failed)
        x += _INDENT * (2 if row.within else 1)
        spent = self._picture.spent.get(row.handler)
        self._text(x, y, row.text, style, "" if spent is None else _short(spent))

    def _arrow(self, start: float, end: float, y: float, row: Row) -> None:
        kind = " failed" if row.failed else " urgent" if row.urgent else ""
        toRight = end > start
        gap = _BAR + 1
        start, end = (start + gap, end - gap) if toRight else (start - gap, end + gap)
        self._line(start, y - 3, end, y - 3, f"arrow{kind}", f' marker-end="url(#to{kind.replace(" ", "-")})"')
        middle = (start + end) / 2
        width = len(row.text) * _CHARACTER + 8
        self._put(
            f'<rect x="{middle - width / 2:.1f}" y="{y - 11}" width="{width:.1f}" height="15" fill="#ffffff" rx="3"/>'
        )
        self._text(middle, y + 1, row.text, f"moves{kind}")


def drawn(picture: Picture) -> str:
    """
    @param picture: what to draw.
    @return: the text of an SVG file.
    """
    return _Sheet(picture).draw()
