"""Bar charts and histograms with pillow: the same numbers give the same bytes, unlike versions of matplotlib."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 520, 250  # of a panel, pixels
LEFT, TOP, BOTTOM = 46, 40, 34  # margins of a histogram for the scale, the title, the ticks
ROW, NAME = 20, 190  # height of a bar, and width of its name
INK, FAINT = (40, 40, 48), (214, 214, 220)
COLOURS = ((55, 110, 160), (205, 110, 50))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A bar chart, one row per name, or with `edges` (one more than values) a histogram."""

    title: str
    values: Sequence[float]
    names: Sequence[str] = ()
    edges: Sequence[float] = ()
    colour: int = 0


def histogram(title: str, values: Sequence[float], edges: Sequence[float], colour: int = 0) -> Panel:
    """A histogram of values; those outside the edges count in the first and last column."""
    inside = np.clip(np.asarray(values, np.float64), edges[0], np.nextafter(edges[-1], edges[0]))
    return Panel(title=title, values=np.histogram(inside, edges)[0].tolist(), edges=edges, colour=colour)


def chart_png(panels: Sequence[Sequence[Panel]]) -> bytes:
    """A PNG of rows of panels."""
    heights = [max(_height(panel) for panel in row) for row in panels]
    picture = Image.new("RGB", (WIDTH * max(map(len, panels)), sum(heights)), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    y = 0
    for row, height in zip(panels, heights, strict=True):
        for number, panel in enumerate(row):
            draw.text((number * WIDTH + 12, y + 12), panel.title, INK, ImageFont.load_default(15))
            (_columns if panel.edges else _rows)(draw, panel, number * WIDTH, y)
        y += height
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _height(panel: Panel) -> int:
    return HEIGHT if panel.edges else TOP + ROW * len(panel.values) + 14


def _columns(draw: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
    font = ImageFont.load_default(12)
    x0, x1, y0, y1 = left + LEFT, left + WIDTH - 16, top + TOP, top + HEIGHT - BOTTOM
    most = max(panel.values, default=0) or 1
    draw.text((x0 - 6, y0), f"{most:,.6g}", INK, font, anchor="rm")
    draw.text((x0 - 6, y1), "0", INK, font, anchor="rm")
    draw.line((x0, y0, x1, y0), FAINT)
    wide = (x1 - x0) / len(panel.values)
    for i, value in enumerate(panel.values):
        if value:
            high = max(1, round(value / most * (y1 - y0)))
            draw.rectangle((x0 + i * wide + 1, y1 - high, x0 + (i + 1) * wide - 1, y1), COLOURS[panel.colour])
    draw.line((x0, y1, x1, y1), INK)
    every = -(-len(panel.values) // 8)
    for i in range(0, len(panel.edges), every):
        x = x0 + i * wide
        draw.line((x, y1, x, y1 + 4), INK)
        draw.text((x, y1 + 7), f"{panel.edges[i]:g}", INK, font, anchor="ma")


def _rows(draw: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
    font = ImageFont.load_default(12)
    x0, x1 = left + NAME, left + WIDTH - 70
    most = max(panel.values, default=0) or 1
    for i, (name, value) in enumerate(zip(panel.names, panel.values, strict=True)):
        y = top + TOP + i * ROW
        draw.text((x0 - 8, y + ROW / 2), _fit(draw, name, NAME - 16, font), INK, font, anchor="rm")
        long = max(1, round(value / most * (x1 - x0)))
        draw.rectangle((x0, y + 3, x0 + long, y + ROW - 3), COLOURS[panel.colour])
        draw.text((x0 + long + 6, y + ROW / 2), f"{value:,.4g}", INK, font, anchor="lm")


def _fit(draw: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """`text`, shortened until it is at most `width` pixels wide."""
    shorter = (f"{text[:size]}…" for size in range(len(text) - 1, -1, -1))
    return next(cut for cut in (text, *shorter) if draw.textlength(cut, font) <= width)
