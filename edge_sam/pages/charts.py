"""Line charts and dots on a scale as SVG, coloured by the page's own style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

Point = tuple[float, float]

WIDTH, HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 22, 12, 44
_TICKS = 4
_MOST_TICKS = 6


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: for the legend.
        style: class of the style sheet, which gives it its colour.
        points: (x, y), ascending in x.
        dashed: a level to compare with.
        whiskers: from where to where each point may lie, in y.
        steps: the outline of a histogram, whose last point means nothing.
    """

    name: str
    style: str
    points: Sequence[Point]
    dashed: bool = False
    whiskers: Sequence[Point] = ()
    steps: bool = False


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_name: str,
    *,
    logarithmic: bool = False,
    x_ticks: Sequence[str] = (),
    from_zero: bool = False,
) -> Markup:
    """Draw a chart ``WIDTH`` x ``HEIGHT``, for a page to scale.

    Args:
        title: what is drawn, for those who cannot see it.
        lines: all of them on the same axes.
        x_name: what is counted along the x axis, from 0.
        logarithmic: the y axis; values are positive then.
        x_ticks: what stands at 0, 1, 2, ... of the x axis instead of numbers.
        from_zero: the y axis begins at 0.
    """
    across = _Scale(0, max(x for line in lines for x, _ in line.points), _LEFT, WIDTH - _RIGHT)
    values = [y for line in lines for _, y in line.points]
    values += [y for line in lines for whisker in line.whiskers for y in whisker]
    up = _y_scale(min(values), max(values), logarithmic)
    if from_zero:
        up = replace(up, low=0.0)
    parts = [_grid(up), _x_axis(across, x_name, x_ticks), *(_drawn(line, across, up) for line in lines)]
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join(parts)
    )


def _drawn(line: Line, across: "_Scale", up: "_Scale") -> Markup:
    places = [(f"{across.place(x):.1f}", f"{up.place(y):.1f}") for x, y in line.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    dashed = Markup(' stroke-dasharray="4 4"') if line.dashed else ""
    parts = [
        Markup('<line class="whisker {}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            line.style, x, x, f"{up.place(low):.1f}", f"{up.place(high):.1f}"
        )
        for (x, _), (low, high) in zip(places, line.whiskers, strict=False)
    ]
    parts.append(Markup('<polyline class="line {}" points="{}"{}/>').format(line.style, path, dashed))
    if not line.dashed and not line.steps:
        x, y = places[-1]
        parts.append(Markup('<circle class="end {}" cx="{}" cy="{}" r="3.5"/>').format(line.style, x, y))
    return Markup("").join(parts)


def dots(values: Sequence[tuple[str, float]], low: float, high: float) -> Markup:
    """Draw values as dots on a line from ``low`` to ``high``; each comes with its class of the style sheet."""
    width, height = 240, 18
    scale = _Scale(low, high, 8, width - 8)
    parts = [Markup('<line class="grid" x1="8" x2="{}" y1="9" y2="9"/>').format(width - 8)]
    parts += [
        Markup('<circle class="dot {}" cx="{}" cy="9" r="5.5"/>').format(style, f"{scale.place(value):.1f}")
        for style, value in values
    ]
    return Markup('<svg class="dots" viewBox="0 0 {} {}" aria-hidden="true">{}</svg>').format(
        width, height, Markup("").join(parts)
    )


@dataclass(frozen=True)
class _Scale:
    """From values ``low`` .. ``high`` to places ``start`` .. ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        low, high, value = (
            math.log10(number) if self.logarithmic else number for number in (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values on the scale."""
        if self.logarithmic:
            return _decades(self.low, self.high)
        step = round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten between the ends, and where these are few 2 and 5 times of them, too."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]
    if len(inside) > _MOST_TICKS:
        inside = [10.0**power for power in powers if low <= 10.0**power <= high]
    return inside[:: math.ceil(len(inside) / _MOST_TICKS)] if inside else [low, high]


def round_step(step: float) -> float:
    """Return the smallest of 1, 2, 5 x a power of ten that is not below ``step``."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _y_scale(low: float, high: float, logarithmic: bool) -> _Scale:
    """Leave a little room above and below."""
    if logarithmic:
        return _Scale(low / 1.15, high * 1.15, HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    room = 0.08 * (high - low) or 0.05
    return _Scale(low - room, high + room, HEIGHT - _BOTTOM, _TOP)


def _grid(up: _Scale) -> Markup:
    row = Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="tick" x="{}" y="{}" {}>{}</text>')
    anchor = Markup('text-anchor="end"')
    places = [(tick, f"{up.place(tick):.1f}") for tick in up.ticks()]
    return Markup("").join(
        row.format(_LEFT, WIDTH - _RIGHT, y, y, _LEFT - 8, f"{float(y) + 4:.1f}", anchor, f"{tick:.3g}")
        for tick, y in places
    )


def _x_axis(across: _Scale, name: str, texts: Sequence[str]) -> Markup:
    label = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>')
    numbers = [(tick, f"{tick:,.6g}") for tick in across.ticks()]
    named = [(float(place), text) for place, text in enumerate(texts)] or numbers
    ticks = [label.format(f"{across.place(tick):.1f}", HEIGHT - _BOTTOM + 18, text) for tick, text in named]
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return Markup("").join(
        [
            Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM, HEIGHT - _BOTTOM
            ),
            *ticks,
            label.format(middle, HEIGHT - 4, name),
        ]
    )
