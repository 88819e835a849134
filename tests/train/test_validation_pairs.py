"""scripts/make_validation_pairs.py: mixtures of the validation split, at the SNR that their manifest states."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unhiss.data.store import Store
from unhiss.dsp.levels import active_level_dbfs, rms_dbfs
from unhiss.media.source import read


def test_pairs_are_validation_clips_at_the_snr_of_the_manifest(
    run_script: Callable[..., None], store: Store, tmp_path: Path
) -> None:
    run_script("make_validation_pairs.py", store.folder, "-o", tmp_path, "--count", 5, "--seconds", 0.2, 8)
    voices = {row.length: store.samples(row).astype(np.float64) / 32768 for row in store.part("speech", "valid")}
    with (tmp_path / "manifest.csv").open(newline="") as file:
        snrs_db = {row["id"]: float(row["snr_db"]) for row in csv.DictReader(file)}
    assert list(snrs_db.values()) == [-5, 0, 5, 10, 15]
    noises = [store.samples(row).astype(np.float64) for row in store.part("noise", "valid")]
    lengths = set()
    for name, snr_db in snrs_db.items():
        clean, noisy = (np.squeeze(read(tmp_path / side / f"{name}.flac")[0]) for side in ("clean", "noisy"))
        voice = voices[clean.size]
        gain = float(clean @ voice / (voice @ voice))
        np.testing.assert_allclose(clean, gain * voice, atol=2e-4)
        rest = noisy - clean
        shapes = [np.resize(noise, rest.size) for noise in noises]
        assert max(rest @ shape / np.linalg.norm(rest) / np.linalg.norm(shape) for shape in shapes) > 0.999
        assert active_level_dbfs(clean, store.rate) - rms_dbfs(rest) == pytest.approx(snr_db, abs=0.1)
        lengths.add(clean.size)
    assert lengths == set(voices)  # each voice comes


def test_a_set_without_long_enough_speech_is_refused_in_one_line(
    run_script: Callable[..., None], store: Store, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"no validation speech of 2 s; give --seconds less"):
        run_script("make_validation_pairs.py", store.folder, "-o", tmp_path)
