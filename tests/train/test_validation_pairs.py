"""scripts/make_validation_pairs.py: mixtures of the validation split, at the SNR that their manifest states."""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import ROOT

from unhiss.data.store import Store
from unhiss.dsp.levels import active_level_dbfs, rms_dbfs
from unhiss.media.source import read


def make(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    script = ROOT / "scripts" / "make_validation_pairs.py"
    monkeypatch.syspath_prepend(str(script.parent))  # as python does for a script
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
    runpy.run_path(str(script), run_name="__main__")


def test_pairs_are_validation_clips_at_the_snr_of_the_manifest(
    monkeypatch: pytest.MonkeyPatch, store: Store, tmp_path: Path
) -> None:
    make(monkeypatch, store.folder, "-o", tmp_path, "--count", 5, "--seconds", 0.2, 8)
    voices = {row.length: store.samples(row).astype(np.float64) / 32768 for row in store.part("speech", "valid")}
    with (tmp_path / "manifest.csv").open(newline="") as file:
        snrs_db = {row["id"]: float(row["snr_db"]) for row in csv.DictReader(file)}
    assert list(snrs_db.values()) == [-5, 0, 5, 10, 15]
    lengths = set()
    for name, snr_db in snrs_db.items():
        clean, noisy = (np.squeeze(read(tmp_path / side / f"{name}.flac")[0]) for side in ("clean", "noisy"))
        voice = voices[clean.size]
        gain = float(clean @ voice / (voice @ voice))
        np.testing.assert_allclose(clean, gain * voice, atol=2e-4)
        assert active_level_dbfs(clean, store.rate) - rms_dbfs(noisy - clean) == pytest.approx(snr_db, abs=0.1)
        lengths.add(clean.size)
    assert lengths == set(voices)  # each voice comes


def test_a_set_without_long_enough_speech_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"no validation speech of 2 s; give --seconds less"):
        make(monkeypatch, store.folder, "-o", tmp_path)
