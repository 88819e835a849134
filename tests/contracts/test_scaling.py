"""The model of docs/scaling.md follows from the measurements it names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
FLEET, GROWTH = (
    json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))["results"]
    for name in ("fleet", "growth")
)
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
BYTES = {"MB": 1e6, "GB": 1e9}
ROUNDED = 0.1  # figures of one or two digits
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if re.match(r"\| 1[0,]+ \|", line)
]


def number(cell: str, units: dict[str, float]) -> float:
    value, unit = cell.split()
    return float(value.replace(",", "")) * units[unit]


def per_file(way: str) -> float:
    """Seconds of the whole run that each file of `FLEET["seconds"]` takes, start-up excluded."""
    return float(FLEET["work_s"]["denoise"][way] / FLEET["files"])


ONE, TWO = per_file("1 process"), per_file("2 processes")
GAIN = ONE / TWO / 2
FIRST, LAST = GROWTH["runs"][0], GROWTH["runs"][-1]
BYTES_A_FILE = (LAST["peak_bytes"] - FIRST["peak_bytes"]) / (LAST["files"] - FIRST["files"])
# Two equations: c = f + a s, of files of ten seconds and of next to nothing.
TINY = GROWTH["jobs"] * LAST["seconds"] / LAST["files"]
SOUND = (ONE - TINY) / (FLEET["seconds"] - GROWTH["seconds"])
FILE = TINY - SOUND * GROWTH["seconds"]


def test_the_constants_are_those_that_were_measured() -> None:
    assert f"| {SOUND:.4f} s | `bench/fleet.py`" in PAGE
    assert f"| {FILE:.3f} s | `bench/growth.py`" in PAGE
    assert f"| {GAIN:.2f} of twice as much" in PAGE
    assert f"| {BYTES_A_FILE / 1000:.1f} kB | `bench/growth.py`" in PAGE
    assert f"cost {1000 * LAST['seconds'] / LAST['files']:.1f} ms each" in PAGE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_what_the_formulas_give(row: list[str]) -> None:
    files = int(row[0].replace(",", ""))
    sound_s = files * FLEET["seconds"]
    expected = [
        sound_s, TWO * files, ONE * files / (GAIN * 64), FIRST["peak_bytes"] + BYTES_A_FILE * files,
        320 * files, 2 * 2 * 16000 * sound_s,
    ]  # fmt: skip
    units = [SECONDS, SECONDS, SECONDS, BYTES, BYTES, BYTES]
    values = [number(cell, kind) for cell, kind in zip(row[1:], units, strict=True)]
    assert values == pytest.approx(expected, rel=ROUNDED)


def test_the_table_goes_from_a_hundred_to_a_million() -> None:
    assert [row[0] for row in ROWS] == ["100", "1,000", "10,000", "100,000", "1,000,000"]
