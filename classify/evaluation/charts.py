"""Charts as inline SVG, coloured by the page that holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .html import number

Scale = tuple[float, float]
SHARE: Scale = (0.0, 1.0)
_BAR = 160
_LEFT, _TOP, _WIDTH, _HEIGHT = 34, 8, 236, 180
_BIGGEST_DOT = 9.0
_SMALLEST_DOT = 2.5


def interval_bar(value: object, low: object, high: object, scale: Scale, zero: float | None = None) -> Markup:
    """A dot for a value on a scale, a line for its interval, and a tick at ``zero`` if given; empty without a value."""
    middle = number(value)
    if middle is None:
        return Markup("")

    def at(position: float) -> str:
        return f"{4 + (_BAR - 8) * _share(position, scale):.1f}"

    parts = [Markup('<line class="axis" x1="4" x2="{}" y1="8" y2="8"/>').format(_BAR - 4)]
    if zero is not None:
        parts.append(Markup('<line class="axis zero" x1="{0}" x2="{0}" y1="2" y2="14"/>').format(at(zero)))
    ends = number(low), number(high)
    if ends[0] is not None and ends[1] is not None:
        parts.append(Markup('<line class="range" x1="{}" x2="{}" y1="8" y2="8"/>').format(at(ends[0]), at(ends[1])))
    parts.append(Markup('<circle class="dot" cx="{}" cy="8" r="3.5"/>').format(at(middle)))
    return Markup('<svg class="bar" viewBox="0 0 {} 16" aria-hidden="true">{}</svg>').format(
        _BAR, Markup("").join(parts)
    )


def scale_of(values: Sequence[object], *, both_ways: bool = False) -> Scale:
    """From 0, or from as far below it, to the next round number above all values."""
    largest = max((abs(v) for v in map(number, values) if v is not None), default=0.0)
    if largest == 0:
        return (-1.0, 1.0) if both_ways else SHARE
    step = 10.0 ** math.floor(math.log10(largest))
    end = next(step * factor for factor in (1, 2, 4, 6, 8, 10) if step * factor >= largest * (1 - 1e-9))
    return (-end if both_ways else 0.0), end


def reliability(bins: Sequence[Mapping[str, Any]], name: str) -> Markup:
    """Accuracy over confidence against the diagonal; a dot's area grows with its faces."""
    dots = [
        (x, y, number(one.get("faces")) or 0.0)
        for one in bins
        if (x := number(one.get("confidence"))) is not None and (y := number(one.get("accuracy"))) is not None
    ]
    most = max((faces for _, _, faces in dots), default=0.0) or 1.0
    diagonal = _line("axis dashed", [(0.0, 0.0), (1.0, 1.0)], SHARE, SHARE)
    shapes = [diagonal, _line("first", [dot[:2] for dot in dots], SHARE, SHARE)]
    for x, y, faces in dots:
        radius = max(_SMALLEST_DOT, _BIGGEST_DOT * math.sqrt(max(faces, 0) / most))
        place = Markup('<circle class="dot soft" cx="{}" cy="{}" r="{:.1f}"><title>{:,.0f} faces</title></circle>')
        shapes.append(place.format(*_place(x, y, SHARE, SHARE), radius, faces))
    return _plot(shapes, SHARE, SHARE, "confidence", "accuracy", f"{name}: accuracy by confidence")


def abstention(points: Sequence[Mapping[str, Any]], name: str, by_quality: Sequence[Mapping[str, Any]] = ()) -> Markup:
    """Accuracy (solid) and macro F1 (dashed) over the share of the faces that is predicted.

    The dotted line is the accuracy where faces of low quality are left out, not those of low confidence.
    """
    curves = {key: _curve(points, key) for key in ("accuracy", "macro_f1")} | {
        "by_quality": _curve(by_quality, "accuracy")
    }
    across, up = (_top_scale([point[axis] for curve in curves.values() for point in curve]) for axis in (0, 1))
    shapes = [
        _line("second dashed", curves["macro_f1"], across, up),
        _line("first dotted", curves["by_quality"], across, up),
        _line("first", curves["accuracy"], across, up),
    ]
    return _plot(
        shapes, across, up, "coverage (share of faces predicted)", "", f"{name}: accuracy and macro F1 by coverage"
    )


def _curve(points: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    return sorted(
        (x, y)
        for point in points
        if (x := number(point.get("coverage"))) is not None and (y := number(point.get(key))) is not None
    )


def _top_scale(values: Sequence[float]) -> Scale:
    """From the tenth below all values to 1."""
    return max(0.0, min(0.9, math.floor(min(values, default=0.0) * 10) / 10)), 1.0


def _share(value: float, scale: Scale) -> float:
    return min(max((value - scale[0]) / (scale[1] - scale[0]), 0.0), 1.0)


def _place(x: float, y: float, across: Scale, up: Scale) -> tuple[str, str]:
    return f"{_LEFT + _WIDTH * _share(x, across):.1f}", f"{_TOP + _HEIGHT * (1 - _share(y, up)):.1f}"


def _line(kind: str, points: Sequence[tuple[float, float]], across: Scale, up: Scale) -> Markup:
    path = " ".join(",".join(_place(x, y, across, up)) for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, path)


def _ticks(scale: Scale) -> list[float]:
    """Round numbers from 1 down to the start of a scale that ends at 1."""
    span = 1 - scale[0]
    step = 0.2 if span > 0.55 else 0.1 if span > 0.25 else 0.05
    return [1 - step * place for place in range(math.floor(span / step + 1e-9) + 1)]


def _plot(shapes: Sequence[Markup], across: Scale, up: Scale, below: str, inside: str, name: str) -> Markup:
    parts = []
    for tick in _ticks(up):
        y = _place(across[0], tick, across, up)[1]
        parts += [
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, _LEFT + _WIDTH, y, y),
            Markup('<text x="{}" y="{}" dy="4" text-anchor="end">{:.2g}</text>').format(_LEFT - 6, y, abs(tick)),
        ]
    for tick in _ticks(across):
        x = _place(tick, up[0], across, up)[0]
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{:.2g}</text>').format(x, _TOP + _HEIGHT + 16, abs(tick))
        )
    middle = _LEFT + _WIDTH / 2
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(middle, _TOP + _HEIGHT + 34, below)
    )
    parts.append(Markup('<text x="{}" y="{}">{}</text>').format(_LEFT + 6, _TOP + 12, inside))
    size = _LEFT + _WIDTH + 12, _TOP + _HEIGHT + 40
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        *size, name, Markup("").join([*parts, *shapes])
    )
