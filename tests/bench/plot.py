"""Lines in an SVG, as small as that can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _MARGIN = 640, 320, 60, 45, 25
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#555555")
_TICKS = 5
_CENTRED = 'text-anchor="middle"'
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Axis:
    """From values to places."""

    most: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return round(self.start + (self.end - self.start) * value / self.most, 1)

    def ticks(self) -> list[float]:
        """Round numbers from 0 on."""
        raw = self.most / _TICKS
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= raw)
        return [step * n for n in range(int(self.most / step) + 1)]


def svg(lines: Mapping[str, Points], *, title: str, x: str, y: str) -> str:
    """Each line by its name; both axes begin at 0."""
    points = [point for line in lines.values() for point in line]
    across = _Axis(max(p[0] for p in points) or 1, _LEFT, _WIDTH - _MARGIN)
    up = _Axis(1.05 * max(p[1] for p in points) or 1, _HEIGHT - _BOTTOM, _MARGIN + 10)
    frame = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 16, title, f'{_CENTRED} font-size="13"'),
        _text(_WIDTH / 2, _HEIGHT - 8, x, _CENTRED),
        _text(14, _HEIGHT / 2, y, f'{_CENTRED} transform="rotate(-90 14 {_HEIGHT / 2})"'),
    ]
    below = _HEIGHT - _BOTTOM + 15
    parts += [_text(across.at(tick), below, f"{tick:,g}", _CENTRED) for tick in across.ticks()]
    for tick in up.ticks():
        place = up.at(tick)
        parts += [
            f'<path d="M{_LEFT} {place}H{_WIDTH - _MARGIN}" stroke="#ddd"/>',
            _text(_LEFT - 6, place + 4, f"{tick:,g}", 'text-anchor="end"'),
        ]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [(across.at(a), up.at(b)) for a, b in line]
        drawn = " ".join(f"{a},{b}" for a, b in places)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(places) <= _TICKS:
            parts += [f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in places]
        parts.append(_text(_LEFT + 10, _MARGIN + 20 + 14 * number, name, f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, how: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" {how}>{escape(text)}</text>'
