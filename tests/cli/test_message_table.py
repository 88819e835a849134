"""Errors and warnings of a folder run: a few are printed as they come, many as a table by reason that names all."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unhiss.media.writer import write

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
Make = Callable[..., Path]
FOREIGN, EMPTY, CLIPPED = 4, 3, 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven recordings that fail for two reasons, and six with a warning."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(FOREIGN):
        (folder / f"foreign{number}.wav").write_bytes(b"no recording")
    for number in range(EMPTY):
        (folder / f"empty{number}.wav").touch()
    for number in range(CLIPPED):
        loud = np.sin(np.arange(3000 + 100 * number) / 5) * (0.6 + number / 20)
        write(folder / f"loud{number}.wav", loud.astype(np.float32), 16000)
    return folder


def denoise(run: Run, folder: Path, model: Path, *words: object) -> list[str]:
    done = run("denoise", folder.name, "-o", "out", "--model", model, *words, cwd=folder.parent)
    assert done.returncode == 1
    return done.stderr.decode().splitlines()


def test_many_errors_end_in_a_table_by_reason_that_names_each_recording(
    folder: Path, run: Run, causal_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = denoise(run, folder, causal_model("gain", 2.0))
    at = lines.index("unhiss: 7 errors (--verbose prints each as it comes):")
    assert lines[-1] == "unhiss: 7 of 13 recordings failed"
    table = "\n".join(lines[at + 1 : -1])
    assert re.findall(r"(?m)^ +(\d x \S+ \w+)", table) == [f"{FOREIGN} x not a", f"{EMPTY} x 0 bytes"]
    assert set(re.findall(r"in/(\w+)\.wav", table)) == {
        *(f"foreign{number}" for number in range(FOREIGN)),
        *(f"empty{number}" for number in range(EMPTY)),
    }
    assert max(len(line) for line in lines[at + 1 : -1] if line.startswith(" " * 8)) < 60
    single = [line for line in lines[:at] if "not a readable" in line or "0 bytes" in line]
    assert len(single) == 5, "the first come at once, in full"


def test_warnings_that_differ_in_numbers_alone_are_one_row(folder: Path, run: Run, causal_model: Make) -> None:
    lines = denoise(run, folder, causal_model("gain", 2.0))
    at = lines.index("unhiss: 6 warnings (--verbose prints each as it comes):")
    assert re.match(r" +6 x … samples above full scale were clipped", lines[at + 1])
    assert all(f"in/loud{number}.wav" in "".join(lines[at + 2 : at + 5]) for number in range(CLIPPED))


def test_a_row_keeps_names_with_a_digit_and_numbers_that_are_all_the_same(
    folder: Path, run: Run, causal_model: Make
) -> None:
    rows = [line for line in denoise(run, folder, causal_model("gain", 2.0)) if re.match(r" +\d+ x ", line)]
    assert rows[1].endswith("is it WAV, FLAC, Ogg or MP3?")
    assert rows[2].endswith(" x 0 bytes, not a recording; get a whole copy")


def test_verbose_prints_each_and_no_table(folder: Path, run: Run, causal_model: Make) -> None:
    lines = denoise(run, folder, causal_model("gain", 2.0), "--verbose")
    assert not [line for line in lines if " x " in line]
    assert len(lines) == FOREIGN + EMPTY + CLIPPED + 1


def test_json_has_no_table(folder: Path, run: Run, causal_model: Make) -> None:
    words = ("denoise", folder, "-o", folder.parent / "out", "--model", causal_model("gain", 2.0))
    done = run(*words, "--json")
    assert b" x not" not in done.stderr
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert sum("error" in line for line in lines) == FOREIGN + EMPTY
    assert sum(bool(line.get("warnings")) for line in lines) == CLIPPED
