"""The model of docs/scaling.md is worked out from the measurements it names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
FOLDER = json.loads((ROOT / "bench" / "results" / "folder.json").read_text(encoding="utf-8"))["results"]
SECONDS = {"s": 1, "min": 60, "h": 3600}
BYTES = {"MB": 1e6, "GB": 1e9}
ROUNDED = 0.1  # figures of one or two digits
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if re.match(r"\| 1[0,]+ \|", line)
]


def number(cell: str, units: dict[str, float]) -> float:
    value, unit = cell.split()
    return float(value.replace(",", "")) * units[unit]


def per_file(jobs: int) -> float:
    run = FOLDER[f"jobs_{jobs}"]
    return float(run["folder"]["median"] - run["start"]["median"]) / FOLDER["files"]


def test_the_constants_are_those_that_were_measured() -> None:
    assert f"| {per_file(1):.3f} s | `bench/folder.py`" in PAGE
    assert f"| {per_file(1) / FOLDER['seconds']:.4f} s a second |" in PAGE
    assert f"| {per_file(1) / per_file(2) / 2:.2f} of twice as much" in PAGE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_what_the_formulas_give(row: list[str]) -> None:
    files = int(row[0].replace(",", ""))
    sound_s = files * FOLDER["seconds"]
    share = per_file(1) / per_file(2) / 2
    wanted = [
        sound_s, per_file(2) * files, per_file(1) * files / (share * 64), 73e6 + 1800 * files, 320 * files,
        2 * 2 * 16000 * sound_s,
    ]  # fmt: skip
    units = [SECONDS, SECONDS, SECONDS, BYTES, BYTES, BYTES]
    found = [number(cell, kind) for cell, kind in zip(row[1:], units, strict=True)]
    assert found == pytest.approx(wanted, rel=ROUNDED)


def test_the_table_goes_from_a_hundred_to_a_million() -> None:
    assert [row[0] for row in ROWS] == ["100", "1,000", "10,000", "100,000", "1,000,000"]
