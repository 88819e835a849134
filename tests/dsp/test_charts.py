from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from unhiss.dsp.charts import COLOURS, WIDTH, Panel, chart_png, histogram


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def count(image: np.ndarray, colour: int) -> int:
    return int((image == COLOURS[colour]).all(-1).sum())


def test_values_outside_the_edges_count_in_the_outer_columns() -> None:
    assert histogram("t", [-5, 0, 0.5, 1, 1.9, 2, 99], [0, 1, 2]).values == [3, 4]


def test_the_same_numbers_give_the_same_bytes() -> None:
    panels = [[histogram("a", [1, 2, 2], [0, 1, 2, 3]), Panel(title="b", names=["x"], values=[2.5])]]
    assert chart_png(panels) == chart_png(panels)


def test_the_height_of_a_column_is_proportional_to_its_value() -> None:
    drawn = pixels(chart_png([[Panel(title="", values=[10, 5, 0], edges=[0, 1, 2, 3], colour=1)]]))
    blue = (drawn == COLOURS[1]).all(-1).sum(0)
    left, middle, right = (blue[46 + 10 : 500][k * 152 : k * 152 + 100] for k in range(3))
    assert middle.max() == pytest.approx(left.max() / 2, abs=1.5)
    assert right.max() == 0


def test_panels_are_arranged_in_rows_and_columns() -> None:
    one = Panel(title="t", values=[1], edges=[0, 1])
    wide = pixels(chart_png([[one, one]])).shape
    high = pixels(chart_png([[one], [one]])).shape
    assert wide[1] == 2 * WIDTH
    assert high[0] == 2 * wide[0]


@pytest.mark.parametrize("values", [[], [0.0], [0.0, 0.0]])
def test_empty_panels_give_a_picture(values: list[float]) -> None:
    names = [f"a very long name of a kind of noise, number {i}" for i in range(len(values))]
    assert pixels(chart_png([[Panel(title="empty", values=values, names=names)]])).size
    columns = pixels(chart_png([[histogram("empty", values, [1, 2])]]))
    assert bool(count(columns, 0)) == bool(values)
