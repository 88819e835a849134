"""A folder of a thousand recordings, a tenth of which lie about themselves: each ends right, or is named."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from lying_streams import liars

from unhiss.media.source import open_source
from unhiss.media.writer import write

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
Make = Callable[..., Path]
LIARS = [liar for liar in liars() if liar.suffix != "dat"][::3][:100]  # of every kind


def fill(folder: Path, count: int, rng: np.random.Generator) -> dict[str, int]:
    """`count` whole recordings in folders below, and the liars among them; name -> samples."""
    samples: dict[str, int] = {}
    for number in range(count):
        path = folder / f"{number % 7}" / f"take {number}.{('wav', 'flac', 'ogg', 'mp3', 'aiff')[number % 5]}"
        path.parent.mkdir(exist_ok=True)
        size = int(rng.integers(1500, 4000))
        write(path, rng.uniform(-0.3, 0.3, (1 + number % 2, size)), 16000)
        samples[str(path)] = sf.info(str(path)).frames
    for number, liar in enumerate(LIARS):
        path = folder / f"{number % 7}" / f"liar {number}.{liar.suffix}"
        path.write_bytes(liar.data)
    return samples


@pytest.mark.parametrize(
    ("count", "in_place"),
    [(60, True), *(pytest.param(*case, marks=pytest.mark.soak) for case in ((60, False), (900, False), (900, True)))],
)
def test_each_recording_of_a_mixed_folder_ends_right_or_is_named(
    count: int, in_place: bool, tmp_path: Path, run: Run, causal_model: Make, rng: np.random.Generator
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    whole = fill(folder, count, rng)
    lying = {str(folder / f"{n % 7}" / f"liar {n}.{liar.suffix}"): liar for n, liar in enumerate(LIARS)}
    where = ["--in-place"] if in_place else ["-o", tmp_path / "out"]
    done = run("denoise", folder, *where, "--json", "--model", causal_model(), "-j", 2)
    items = {item["source"]: item for item in map(json.loads, done.stdout.splitlines()) if "left_out" not in item}
    left_out = [item for item in map(json.loads, done.stdout.splitlines()) if "left_out" in item]
    assert not left_out, "every file here has the ending of a recording"
    assert items.keys() == whole.keys() | lying.keys()
    for name, samples in whole.items():
        assert open_source(items[name]["target"]).frames == samples, name
        assert items[name]["warnings"] == [], name
    for name, liar in lying.items():
        item = items[name]
        if "error" in item:
            assert Path(name).read_bytes() == liar.data
            assert liar.said or "cannot write" in item["error"], item["error"]
            continue
        assert not (in_place and liar.said), name
        report = open_source(item["target"])
        count_read = item["seconds"] * item["rate"]
        assert abs(count_read - liar.right) <= liar.slack + item["rate"] / 500, (liar.name, count_read, liar.right)
        assert abs(report.seconds - item["seconds"]) < 0.1
        assert any("all that is there was read" in warning for warning in item["warnings"]) == liar.said, liar.name
    failed = sum("error" in item for item in items.values())
    assert done.returncode == bool(failed)
