"""Charts as SVG inside a page: they take their colours from its style, so that they are right in light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from unhiss.score.statistics import Mean

WIDTH = 420  # of a panel, in units of its viewBox; on a phone one unit is about 0.8 pixels
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34
ROW, NAMES = 30, 116  # height of a row, room for its name
TONES = 8  # colours of the style; forms go on from there
LETTER = 6.6  # width of one, about
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Scale:
    """Values low to high -> places first to last."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.first + min(1.0, max(0.0, share)) * (self.last - self.first)

    @property
    def ticks(self) -> list[float]:
        """Round numbers between low and high, about five."""
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def scale(values: Sequence[float], first: float, last: float, also: Sequence[float] = ()) -> Scale:
    """A scale with some air around all finite values."""
    finite = [value for value in (*values, *also) if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    air = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return Scale(low - air, high + air, first, last)


def spread(rows: Mapping[str, Sequence[float]], means: Mapping[str, Mean], title: str, places: int) -> str:
    """A row a system: a dot a recording, a box from quartile to quartile, and the mean with its interval."""
    finite = {name: [value for value in values if math.isfinite(value)] for name, values in rows.items()}
    height = TOP + ROW * len(rows) + BOTTOM
    x = scale([value for values in finite.values() for value in values], NAMES, WIDTH - RIGHT)
    parts = [_x_axis(x, height, title)]
    for number, (name, values) in enumerate(finite.items()):
        tone = _tone(number)
        y = TOP + ROW * (number + 0.5)
        parts.append(_name(name, y))
        if not values:
            continue
        shifts = np.random.default_rng(0).uniform(-9, 9, len(values))
        parts += [
            f'<circle class="dot {tone}" cx="{x(v):.1f}" cy="{y + shift:.1f}" r="2"/>'
            for v, shift in zip(values, shifts, strict=True)
        ]
        low, high = np.percentile(values, (25, 75))
        parts.append(
            f'<rect class="box {tone}" x="{x(low):.1f}" y="{y - 8}" width="{x(high) - x(low):.1f}" height="16"/>'
        )
        parts.append(_interval(x, y, means[name], number))
    words = "; ".join(f"{name} mean {mean.mean:.{places}f}" for name, mean in means.items() if mean.n)
    return _svg(height, f"{title} of each recording. {words}", parts)


def forest(differences: Mapping[str, tuple[int, Mean]], title: str, places: int) -> str:
    """A row a system: its difference with the interval, against zero; the number of a system gives its colour."""
    height = TOP + ROW * len(differences) + BOTTOM
    ends = [end for _, mean in differences.values() for end in (mean.low, mean.high, mean.mean)]
    x = scale(ends, NAMES, WIDTH - RIGHT, also=(0.0,))
    parts = [_x_axis(x, height, title), _line(x(0), TOP, x(0), height - BOTTOM, "zero")]
    for row, (name, (number, mean)) in enumerate(differences.items()):
        y = TOP + ROW * (row + 0.5)
        parts.append(_name(name, y))
        if mean.n:
            parts.append(_interval(x, y, mean, number))
    words = "; ".join(
        f"{name} {mean.mean:+.{places}f}, {mean.low:+.{places}f} to {mean.high:+.{places}f}"
        for name, (_, mean) in differences.items() if mean.n
    )  # fmt: skip
    return _svg(height, f"{title}. {words}", parts)


def lines(groups: Mapping[str, Mapping[str, Mean]], title: str, heading: str, places: int) -> str:
    """A curve a system over the groups, left to right, with intervals. groups: value -> system -> mean."""
    height = 240
    ends = [end for means in groups.values() for mean in means.values() for end in (mean.low, mean.high, mean.mean)]
    y = scale(ends, height - BOTTOM, TOP)
    values, systems = list(groups), list(next(iter(groups.values())))
    parts = [_y_axis(y, title)]
    step = (WIDTH - LEFT - RIGHT) / len(values)
    for place, value in enumerate(values):
        parts.append(_text(LEFT + step * (place + 0.5), height - BOTTOM + 15, value, "middle"))
    parts.append(_text((LEFT + WIDTH) / 2, height - 4, heading, "middle", "title"))
    for number, system in enumerate(systems):
        points = []
        for place, value in enumerate(values):
            mean = groups[value][system]
            if not mean.n:
                continue
            at = LEFT + step * (place + 0.5) + (number - (len(systems) - 1) / 2) * min(7, step / 2 / len(systems))
            points.append((at, y(mean.mean)))
            if mean.n > 1:
                parts.append(_line(at, y(mean.low), at, y(mean.high), f"whisker {_tone(number)}"))
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline class="curve {_tone(number)}" points="{path}"/>')
        parts += [_mark(px, py, number) for px, py in points]
    words = "; ".join(
        f"{system}: " + ", ".join(f"{value} {means[system].mean:.{places}f}" for value, means in groups.items())
        for system in systems
    )
    return _svg(height, f"{title} by {heading}. {words}", parts)


def dots(groups: Mapping[str, Mapping[str, Mean]], title: str, heading: str, counts: Mapping[str, int]) -> str:
    """A row a group, a mark a system on one axis: for groups without an order, of which there may be many."""
    row = 22
    height = TOP + row * len(groups) + BOTTOM
    x = scale([mean.mean for means in groups.values() for mean in means.values()], NAMES + 24, WIDTH - RIGHT)
    parts = [_x_axis(x, height, title)]
    for place, (value, means) in enumerate(groups.items()):
        y = TOP + row * (place + 0.5)
        parts.append(_name(f"{value} ({counts[value]})", y, NAMES + 24))
        known = [x(mean.mean) for mean in means.values() if mean.n]
        if known:
            parts.append(_line(min(known), y, max(known), y, "reach"))
        parts += [_mark(x(mean.mean), y, number) for number, mean in enumerate(means.values()) if mean.n]
    words = "; ".join(
        f"{value}: " + ", ".join(f"{system} {mean.mean:.2f}" for system, mean in means.items() if mean.n)
        for value, means in groups.items()
    )
    return _svg(height, f"{title} by {heading}. {words}", parts)


def against_cost(points: Mapping[str, tuple[int, float, Mean]], title: str, noisy: Mean) -> str:
    """Quality over µs per 16 ms, the latter by powers of ten: system -> (number, cost, mean); up and left is best."""
    height = 300
    costs = [math.log10(cost) for _, cost, _ in points.values()]
    x = Scale(math.floor(min(costs)), max(math.ceil(max(costs)), math.floor(min(costs)) + 1), LEFT, WIDTH - RIGHT)
    ends = [end for _, _, mean in points.values() for end in (mean.low, mean.high, mean.mean)]
    y = scale(ends, height - BOTTOM, TOP, also=(noisy.mean,))
    parts = [_y_axis(y, title)]
    for power in range(round(x.low), round(x.high) + 1):
        parts.append(_line(x(power), TOP, x(power), height - BOTTOM, "grid"))
        anchor = "end" if power == round(x.high) else "middle"
        parts.append(
            _text(x(power), height - BOTTOM + 15, f"{10**power:,}" if power >= 0 else f"{10.0**power:g}", anchor)
        )
    parts.append(_text((LEFT + WIDTH) / 2, height - 4, "µs of one core for 16 ms of sound", "middle", "title"))
    if noisy.n:
        parts.append(_line(LEFT, y(noisy.mean), WIDTH - RIGHT, y(noisy.mean), "zero"))
    places = {name: (x(math.log10(cost)), y(mean.mean)) for name, (_, cost, mean) in points.items()}
    taken = [(at - 8, level - 8, at + 8, level + 8) for at, level in places.values()]
    for name, (number, _, mean) in points.items():
        at, level = places[name]
        if mean.n > 1:
            parts.append(_line(at, y(mean.low), at, y(mean.high), f"whisker {_tone(number)}"))
            taken.append((at - 2, y(mean.high), at + 2, y(mean.low)))
        parts.append(_mark(at, level, number, 6))
    parts += [_beside(name, *place, taken) for name, place in places.items()]
    if noisy.n:
        parts.append(_text(WIDTH - RIGHT, y(noisy.mean) - 5, "noisy input", "end"))
    words = "; ".join(f"{name}: {cost:,.0f} µs, {mean.mean:.2f}" for name, (_, cost, mean) in points.items())
    return _svg(height, f"{title} against processor time for 16 ms of sound. {words}", parts)


def _beside(name: str, at: float, level: float, taken: list[Box]) -> str:
    """A name on that side of its mark where least is in its way; its own place is then taken too."""
    wide = LETTER * len(name)
    tries: list[tuple[float, Box, str]] = []
    for down in (4, -10, 18):
        for left, anchor in ((at + 10, "start"), (at - 10 - wide, "end")):
            box = (left, level + down - 10, left + wide, level + down + 3)
            out = left < LEFT or left + wide > WIDTH
            tries.append((sum(_meet(box, other) for other in taken) + 100 * out, box, anchor))
    _, box, anchor = min(tries, key=lambda one: one[0])
    taken.append(box)
    return _text(box[0] if anchor == "start" else box[2], box[3] - 3, name, anchor)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def mark(number: int) -> str:
    """A system's mark by itself, for a legend."""
    box = 'viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true"'
    return f'<svg class="mark" {box}>{_mark(0, 0, number, 6)}</svg>'


def _mark(x: float, y: float, number: int, r: float = 4.5) -> str:
    """Form and colour both tell the system, for eyes and printers that see no colours."""
    forms = (
        ((0, -1), (1, 0), (0, 1), (-1, 0)), (), ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
        ((0, -1.1), (1, 0.8), (-1, 0.8)), ((0, 1.1), (1, -0.8), (-1, -0.8)),
    )  # fmt: skip
    form = forms[number % len(forms)]
    if not form:
        return f'<circle class="form {_tone(number)}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>'
    points = " ".join(f"{x + r * 1.1 * dx:.1f},{y + r * 1.1 * dy:.1f}" for dx, dy in form)
    return f'<polygon class="form {_tone(number)}" points="{points}"/>'


def _tone(number: int) -> str:
    """A system's class in the style."""
    return f"s{number % TONES}"


def _interval(x: Scale, y: float, mean: Mean, number: int) -> str:
    whisker = _line(x(mean.low), y, x(mean.high), y, f"whisker {_tone(number)}") if mean.n > 1 else ""
    return whisker + _mark(x(mean.mean), y, number)


def _x_axis(x: Scale, height: float, title: str) -> str:
    parts = [_text((x.first + x.last) / 2, height - 4, title, "middle", "title")]
    for tick in x.ticks:
        parts.append(_line(x(tick), TOP, x(tick), height - BOTTOM, "grid"))
        parts.append(_text(x(tick), height - BOTTOM + 15, f"{tick:.6g}", "middle"))
    return "".join(parts)


def _y_axis(y: Scale, title: str) -> str:
    parts = []
    for tick in y.ticks:
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{tick:.6g}", "end"))
    middle = (y.first + y.last) / 2
    turned = f'transform="translate(11 {middle}) rotate(-90)"'
    parts.append(f'<text class="title" text-anchor="middle" {turned}>{escape(title)}</text>')
    return "".join(parts)


def _name(name: str, y: float, room: int = NAMES) -> str:
    most = int((room - 10) / LETTER)
    return _text(room - 8, y + 4, name if len(name) <= most else f"{name[: most - 1]}…", "end")


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, words: str, parts: Sequence[str]) -> str:
    facts = f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(words)}"'
    return f'<svg class="chart" {facts}>{"".join(parts)}</svg>'
