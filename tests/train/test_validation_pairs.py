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
from unhiss.score.pairs import find_pairs


def make(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    script = ROOT / "scripts" / "make_validation_pairs.py"
    monkeypatch.syspath_prepend(str(script.parent))  # as python does for a script
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
    runpy.run_path(str(script), run_name="__main__")


def test_pairs_are_validation_clips_at_the_snr_of_the_manifest(
    monkeypatch: pytest.MonkeyPatch, store: Store, tmp_path: Path
) -> None:
    make(monkeypatch, store.folder, "-o", tmp_path, "--count", 5, "--seconds", 0.2, 8)
    voices = {row.length: store.samples(row) / 32768 for row in store.part("speech", "valid")}
    pairs = find_pairs(tmp_path)
    with (tmp_path / "manifest.csv").open(newline="") as file:
        assert [row["snr_db"] for row in csv.DictReader(file)] == ["-5", "0", "5", "10", "15"]
    assert {len(pair.load()[1].T) for pair in pairs} == set(voices)  # each voice comes
    for pair in pairs:
        noisy, clean, rate = (np.squeeze(part) if isinstance(part, np.ndarray) else part for part in pair.load())
        voice = voices[clean.size]
        gain = np.vdot(clean, voice) / np.vdot(voice, voice)
        np.testing.assert_allclose(clean, gain * voice, atol=2e-4)
        snr_db = active_level_dbfs(clean, rate) - rms_dbfs(noisy - clean)
        assert snr_db == pytest.approx(float(pair.metadata["snr_db"]), abs=0.1)


def test_a_set_without_long_enough_speech_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"no validation speech of 2 s; give --seconds less"):
        make(monkeypatch, store.folder, "-o", tmp_path)
