"""Charts as SVG; colours come from the style sheet of the page, so that charts work in light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from unhiss.score.statistics import Mean

WIDTH = 420  # of a chart, in units of its viewBox; on a phone one unit is about 0.8 pixels
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34  # margins
ROW_HEIGHT, LABEL_WIDTH = 30, 116
COLOURS = 8  # in the style sheet; more systems differ by marker shape
LETTER_WIDTH = 6.6  # approximately
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to positions from `first` to `last`; values beyond are clamped."""

    low: float
    high: float
    first: float
    last: float

    @classmethod
    def around(cls, values: Sequence[float], first: float, last: float) -> Scale:
        """A scale with a margin around all finite values."""
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return cls(low - margin, high + margin, first, last)

    def __call__(self, value: float) -> float:
        fraction = (value - self.low) / (self.high - self.low)
        return self.first + min(1.0, max(0.0, fraction)) * (self.last - self.first)

    @property
    def ticks(self) -> list[float]:
        """About five round numbers between low and high."""
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def box_chart(rows: Mapping[str, Sequence[float]], means: Mapping[str, Mean], title: str, decimals: int) -> str:
    """A row per system: a dot per recording, a box between the quartiles, and the mean with its interval."""
    finite = {name: [value for value in values if math.isfinite(value)] for name, values in rows.items()}
    x = Scale.around([value for values in finite.values() for value in values], LABEL_WIDTH, WIDTH - RIGHT)
    marks = []
    for number, (name, values) in enumerate(finite.items()):
        if not values:
            continue
        y = _row_y(number)
        for value, dy in zip(values, np.random.default_rng(0).uniform(-9, 9, len(values)), strict=True):
            marks.append(f'<circle class="dot {_colour(number)}" cx="{x(value):.1f}" cy="{y + dy:.1f}" r="2"/>')
        left, right = (x(quartile) for quartile in np.percentile(values, (25, 75)))
        box = f'x="{left:.1f}" y="{y - 8}" width="{right - left:.1f}" height="16"'
        marks += [f'<rect class="box {_colour(number)}" {box}/>', _interval(x, y, means[name], number)]
    return _row_chart(list(rows), x, marks, title, f"{title} of each recording. Means: {_values(means, decimals)}")


def difference_chart(differences: Mapping[str, tuple[int, Mean]], title: str, decimals: int) -> str:
    """A row per system: its difference with the interval, and a line at zero; system -> (number, difference)."""
    x = Scale.around([*_ends(mean for _, mean in differences.values()), 0.0], LABEL_WIDTH, WIDTH - RIGHT)
    marks = [_line(x(0), TOP, x(0), TOP + ROW_HEIGHT * len(differences), "zero")]
    texts = []
    for row, (name, (number, mean)) in enumerate(differences.items()):
        if mean.n:
            marks.append(_interval(x, _row_y(row), mean, number))
            texts.append(f"{name} {mean.mean:+.{decimals}f}, {mean.low:+.{decimals}f} to {mean.high:+.{decimals}f}")
    return _row_chart(list(differences), x, marks, title, f"{title}. {'; '.join(texts)}")


def dot_chart(
    groups: Mapping[str, Mapping[str, Mean]], title: str, heading: str, decimals: int, counts: Mapping[str, int]
) -> str:
    """A row per group with a marker per system: for many groups without an order."""
    values = [mean.mean for means in groups.values() for mean in means.values()]
    x = Scale.around(values, LABEL_WIDTH + 24, WIDTH - RIGHT)
    marks = []
    for row, means in enumerate(groups.values()):
        y, points = _row_y(row, 22), {n: x(mean.mean) for n, mean in enumerate(means.values()) if mean.n}
        if points:
            marks.append(_line(min(points.values()), y, max(points.values()), y, "range"))
        marks += [_marker(px, y, number) for number, px in points.items()]
    labels = [f"{value} ({counts[value]})" for value in groups]
    return _row_chart(labels, x, marks, title, _group_description(groups, title, heading, decimals), 22)


def line_chart(groups: Mapping[str, Mapping[str, Mean]], title: str, heading: str, decimals: int) -> str:
    """A curve per system over the groups, left to right, with intervals. groups: value -> system -> mean."""
    height = 240
    y = Scale.around(_ends(mean for means in groups.values() for mean in means.values()), height - BOTTOM, TOP)
    systems = list(next(iter(groups.values())))
    parts = [_y_axis(y, title), _text((LEFT + WIDTH) / 2, height - 4, heading, "middle", "title")]
    step = (WIDTH - LEFT - RIGHT) / len(groups)
    centres = {value: LEFT + step * (number + 0.5) for number, value in enumerate(groups)}
    parts += [_text(x, height - BOTTOM + 15, value, "middle") for value, x in centres.items()]
    for number, system in enumerate(systems):
        offset = (number - (len(systems) - 1) / 2) * min(7, step / 2 / len(systems))
        points = [(centres[value] + offset, means[system]) for value, means in groups.items() if means[system].n]
        parts += [_whisker(x, y, mean, number) for x, mean in points]
        path = " ".join(f"{x:.1f},{y(mean.mean):.1f}" for x, mean in points)
        parts.append(f'<polyline class="curve {_colour(number)}" points="{path}"/>')
        parts += [_marker(x, y(mean.mean), number) for x, mean in points]
    return _svg(height, _group_description(groups, title, heading, decimals), parts)


def cost_chart(points: Mapping[str, tuple[int, float, Mean]], title: str, noisy: Mean) -> str:
    """Quality over µs per 16 ms on a logarithmic axis: system -> (number, cost, mean)."""
    height = 300
    costs = [math.log10(cost) for _, cost, _ in points.values()]
    lowest = math.floor(min(costs))
    x = Scale(lowest, max(math.ceil(max(costs)), lowest + 1), LEFT, WIDTH - RIGHT)
    y = Scale.around([*_ends(mean for _, _, mean in points.values()), noisy.mean], height - BOTTOM, TOP)
    heading = "µs of one core for 16 ms of sound"
    parts = [_y_axis(y, title), _text((LEFT + WIDTH) / 2, height - 4, heading, "middle", "title")]
    for power in range(round(x.low), round(x.high) + 1):
        parts.append(_line(x(power), TOP, x(power), height - BOTTOM, "grid"))
        label = f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"
        parts.append(_text(x(power), height - BOTTOM + 15, label, "end" if power == round(x.high) else "middle"))
    occupied: list[Box] = []
    for number, cost, mean in points.values():
        px, py = x(math.log10(cost)), y(mean.mean)
        occupied.append((px - 8, py - 8, px + 8, py + 8))
        if mean.n > 1:
            occupied.append((px - 2, y(mean.high), px + 2, y(mean.low)))
        parts += [_whisker(px, y, mean, number), _marker(px, py, number, 6)]
    for name, (_, cost, mean) in points.items():
        parts.append(_label_beside(name, x(math.log10(cost)), y(mean.mean), occupied))
    if noisy.n:
        parts.append(_line(LEFT, y(noisy.mean), WIDTH - RIGHT, y(noisy.mean), "zero"))
        parts.append(_text(WIDTH - RIGHT, y(noisy.mean) - 5, "noisy input", "end"))
    text = "; ".join(f"{name}: {cost:,.0f} µs, {mean.mean:.2f}" for name, (_, cost, mean) in points.items())
    return _svg(height, f"{title} against processor time for 16 ms of sound. {text}", parts)


def _label_beside(name: str, x: float, y: float, occupied: list[Box]) -> str:
    """A label on the side of its marker where it overlaps least; its own box is added to `occupied`."""
    width = LETTER_WIDTH * len(name)

    def badness(box: Box) -> int:
        left, top, right, bottom = box
        overlaps = sum(left < o[2] and o[0] < right and top < o[3] and o[1] < bottom for o in occupied)
        return overlaps + 100 * (left < LEFT or right > WIDTH)

    lefts = x + 10, x - 10 - width
    boxes = [(left, y + dy - 10, left + width, y + dy + 3) for dy in (4, -10, 18) for left in lefts]
    box = min(boxes, key=badness)
    occupied.append(box)
    right_of_marker = box[0] == lefts[0]
    return _text(box[0 if right_of_marker else 2], box[3] - 3, name, "start" if right_of_marker else "end")


def legend_marker(number: int) -> str:
    """The marker of a system as a separate picture, for a legend."""
    box = 'viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true"'
    return f'<svg class="marker" {box}>{_marker(0, 0, number, 6)}</svg>'


def _marker(x: float, y: float, number: int, radius: float = 4.5) -> str:
    """Shape and colour both identify the system, for readers and printers without colour."""
    shapes = (
        ((0, -1), (1, 0), (0, 1), (-1, 0)), (), ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
        ((0, -1.1), (1, 0.8), (-1, 0.8)), ((0, 1.1), (1, -0.8), (-1, -0.8)),
    )  # fmt: skip
    shape = shapes[number % len(shapes)]
    if not shape:
        return f'<circle class="shape {_colour(number)}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
    points = " ".join(f"{x + radius * 1.1 * dx:.1f},{y + radius * 1.1 * dy:.1f}" for dx, dy in shape)
    return f'<polygon class="shape {_colour(number)}" points="{points}"/>'


def _colour(number: int) -> str:
    """The CSS class with the colour of a system."""
    return f"s{number % COLOURS}"


def _interval(x: Scale, y: float, mean: Mean, number: int) -> str:
    whisker = _line(x(mean.low), y, x(mean.high), y, f"whisker {_colour(number)}") if mean.n > 1 else ""
    return whisker + _marker(x(mean.mean), y, number)


def _whisker(x: float, y: Scale, mean: Mean, number: int) -> str:
    return _line(x, y(mean.low), x, y(mean.high), f"whisker {_colour(number)}") if mean.n > 1 else ""


def _values(means: Mapping[str, Mean], decimals: int) -> str:
    return ", ".join(f"{name} {mean.mean:.{decimals}f}" for name, mean in means.items() if mean.n)


def _group_description(groups: Mapping[str, Mapping[str, Mean]], title: str, heading: str, decimals: int) -> str:
    values = "; ".join(f"{value}: {_values(means, decimals)}" for value, means in groups.items())
    return f"{title} by {heading}. {values}"


def _ends(means: Iterable[Mean]) -> list[float]:
    return [end for mean in means for end in (mean.low, mean.high, mean.mean)]


def _row_y(row: int, row_height: int = ROW_HEIGHT) -> float:
    return TOP + row_height * (row + 0.5)


def _row_chart(
    labels: Sequence[str], x: Scale, marks: Sequence[str], title: str, description: str, row_height: int = ROW_HEIGHT
) -> str:
    """Labelled rows over a common horizontal axis."""
    bottom, label_width = TOP + row_height * len(labels), x.first
    parts = [_text((x.first + x.last) / 2, bottom + BOTTOM - 4, title, "middle", "title")]
    for tick in x.ticks:
        parts.append(_line(x(tick), TOP, x(tick), bottom, "grid"))
        parts.append(_text(x(tick), bottom + 15, f"{tick:.6g}", "middle"))
    longest = int((label_width - 10) / LETTER_WIDTH)
    for row, label in enumerate(labels):
        text = label if len(label) <= longest else f"{label[: longest - 1]}…"
        parts.append(_text(label_width - 8, _row_y(row, row_height) + 4, text, "end"))
    return _svg(bottom + BOTTOM, description, [*parts, *marks])


def _y_axis(y: Scale, title: str) -> str:
    parts = []
    for tick in y.ticks:
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{tick:.6g}", "end"))
    rotation = f'transform="translate(11 {(y.first + y.last) / 2}) rotate(-90)"'
    parts.append(f'<text class="title" text-anchor="middle" {rotation}>{escape(title)}</text>')
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, description: str, parts: Sequence[str]) -> str:
    attributes = f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(description)}"'
    return f'<svg class="chart" {attributes}>{"".join(parts)}</svg>'
