"""A set packed as Opus, sent in pieces and unpacked trains as well: the same clips, in place, at one rate or two."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr
from tiny_sets import ROOT

from unhiss.data.store import Store
from unhiss.score.metrics import si_sdr


def run(*words: str | Path) -> str:
    command = [sys.executable, ROOT / "scripts" / "pack_set.py", *words, "--jobs", "1"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_set_at_another_rate_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        run("pack", store.folder, tmp_path / "packed")
    assert "is at 22050 Hz; only sets at 48000 Hz are packed" in refusal.value.stderr


def test_a_packed_set_comes_back_with_its_clips_and_at_half_its_rate(wide: Store, tmp_path: Path) -> None:
    packed, whole, half = (tmp_path / name for name in ("packed", "whole", "half"))
    assert "4 pieces" in run("pack", wide.folder, packed, "--piece-mib", "0.012", "--speech-kbps", "128")
    assert not (packed / "piece-5").exists()
    for piece in (3, 1, 4, 2):  # as they arrive
        (packed / f"piece-{piece}").rename(tmp_path / f"piece-{piece}")
        run("unpack", tmp_path, whole, "--half", half)
    one, two = Store(whole), Store(half)
    assert (one.rate, two.rate) == (48000, 24000)
    for row, same, halved in zip(wide.rows, one.rows, two.rows, strict=True):
        assert same == row and halved.length == row.length // 2 and halved.id == row.id
        expected = wide.samples(row).astype(np.float64)
        if row.role == "speech":
            assert si_sdr(one.samples(row).astype(np.float64), expected) > 20
            shorter = soxr.resample(one.samples(row).astype(np.float64), 2, 1)[: halved.length]
            middle = slice(200, -200)  # a clip's neighbours reach into its ends
            assert si_sdr(two.samples(halved).astype(np.float64)[middle], shorter[middle]) > 40
