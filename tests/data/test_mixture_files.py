from __future__ import annotations

import csv
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from sounds import RATE, hashes

from unhiss.data import mixture_files
from unhiss.data.mixing import Mixer, mix
from unhiss.data.mixture_files import SEEDS, write_pairs, write_spectrograms
from unhiss.data.store import Store
from unhiss.errors import DataError
from unhiss.fleet.mapping import Fleet
from unhiss.settings import MixConfig

config = MixConfig(snr_db=(-5, 20))


@pytest.fixture(scope="module")
def store(prepared: Store) -> Store:
    return prepared


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def active_db(audio: np.ndarray) -> float:
    power = np.sort((audio[: audio.size // 441 * 441].reshape(-1, 441) ** 2).mean(1))[::-1]
    means = np.cumsum(power) / np.arange(1, power.size + 1)
    return float(10 * np.log10(means[max(k for k in range(power.size) if power[k] >= means[k] * 10**-1.59)]))


def test_pairs_are_counted_exactly_and_split_in_proportion(store: Store, tmp_path: Path) -> None:
    counts = write_pairs(store, tmp_path, 20, config, 0, fleet=Fleet(1))
    assert counts == {"train": 15, "valid": 5}, "two of eight clips of speech are for validation"
    rows = manifest(tmp_path)
    assert [row["id"] for row in rows] == [f"{i:06d}" for i in range(20)]
    for side in ("clean", "noisy"):
        assert sorted(path.stem for path in (tmp_path / side).iterdir()) == [row["id"] for row in rows]


def test_each_pair_has_the_snr_its_row_states_and_does_not_clip(store: Store, tmp_path: Path) -> None:
    write_pairs(store, tmp_path, 20, MixConfig(snr_db=(-10, 20), level_dbfs=(-20, -5)), 0, fleet=Fleet(1))
    for row in manifest(tmp_path):
        clean, rate = soundfile.read(tmp_path / "clean" / f"{row['id']}.wav")
        noisy, _ = soundfile.read(tmp_path / "noisy" / f"{row['id']}.wav")
        assert rate == RATE
        assert clean.shape == noisy.shape
        assert np.abs(noisy).max() < 0.995
        # Two files rounded to 16 bit, and the manifest's two digits.
        assert active_db(clean) - 10 * np.log10(((noisy - clean) ** 2).mean()) == pytest.approx(
            float(row["snr_db"]), abs=0.05
        )


def test_no_clip_crosses_the_splits_of_pairs_and_frames(store: Store) -> None:
    for length in (None, 8064):
        used = {}
        for split in ("train", "valid"):
            mixer = Mixer(store, split, config)
            recipes = mixer.draw(np.random.default_rng(0), 200, length)
            rows = [mixer.speech[r.speech] for r in recipes] + [mixer.noise[r.noises[0]] for r in recipes]
            used[split] = {name for row in rows for name in row.groups}
        assert used["train"] and used["valid"]
        assert not used["train"] & used["valid"]


def test_speakers_of_validation_pairs_are_not_those_of_training(store: Store, tmp_path: Path) -> None:
    write_pairs(store, tmp_path, 40, config, 3, fleet=Fleet(1))
    speakers = {split: {row["speaker"] for row in manifest(tmp_path) if row["split"] == split} for split in
                ("train", "valid")}  # fmt: skip
    assert speakers["train"] and speakers["valid"]
    assert not speakers["train"] & speakers["valid"]


def test_spectrograms_are_those_librosa_computes_of_the_same_mixture(store: Store, tmp_path: Path) -> None:
    assert write_spectrograms(store, tmp_path, {"train": 30, "valid": 7}, config, 5, fleet=Fleet(1)) == {
        "train": 30, "valid": 7,
    }  # fmt: skip
    for split, count in (("train", 30), ("valid", 7)):
        noisy, clean = (np.load(tmp_path / f"{split}-{side}.npy") for side in ("noisy", "clean"))
        assert noisy.shape == clean.shape == (count, 128, 128)
        assert noisy.dtype == clean.dtype == np.float32
        recipes = Mixer(store, split, config).draw(np.random.default_rng([5, SEEDS[split], 0]), count, 8064)
        for i, recipe in enumerate(recipes):
            spectra = [np.abs(librosa.stft(audio, n_fft=255, hop_length=63)) for audio in mix(recipe, store, split)]
            expected = librosa.amplitude_to_db(spectra[0], ref=np.max, top_db=80) / 80 + 1
            # Below its floor of 1e-5 librosa counts differently relative to the maximum; 2e-4 is 0.016 dB.
            assert noisy[i] == pytest.approx(np.maximum(expected, 0), abs=2e-4)
            level = librosa.amplitude_to_db(spectra[1], ref=spectra[0].max(), top_db=None)
            assert clean[i] == pytest.approx(np.clip(level / 80 + 1, 0, 1), abs=2e-4)


def test_chunks_do_not_depend_on_how_many_processes_make_them(store: Store, tmp_path: Path) -> None:
    for jobs in (1, 2):
        write_spectrograms(store, tmp_path / f"f{jobs}", {"train": 300, "valid": 10}, config, 5, fleet=Fleet(jobs))
        write_pairs(store, tmp_path / f"p{jobs}", 130, config, 5, fleet=Fleet(jobs))
    assert hashes(tmp_path / "f1") == hashes(tmp_path / "f2")
    assert hashes(tmp_path / "p1") == hashes(tmp_path / "p2")
    assert np.array_equal(np.load(tmp_path / "f1" / "train-noisy.npy").min((1, 2)) >= 0, np.ones(300, bool))


def test_a_run_that_is_interrupted_after_any_chunk_is_resumed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"train": 520, "valid": 20}
    write_spectrograms(store, tmp_path / "unbroken", counts, config, 5, fleet=Fleet(1))
    write_pairs(store, tmp_path / "pairs", 40, config, 5, fleet=Fleet(1))
    original = mixture_files.mix
    calls = 0

    def interrupted_mix(*arguments):
        nonlocal calls
        calls += 1
        if calls % 300 == 0 or calls == 33:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(mixture_files, "mix", interrupted_mix)
    for _ in range(9):
        try:
            write_pairs(store, tmp_path / "pairs again", 40, config, 5, fleet=Fleet(1))
            write_spectrograms(store, tmp_path / "again", counts, config, 5, fleet=Fleet(1))
            break
        except KeyboardInterrupt:
            continue
    assert calls > 40 + 540, "it was stopped"
    assert hashes(tmp_path / "again") == hashes(tmp_path / "unbroken")
    assert hashes(tmp_path / "pairs again") == hashes(tmp_path / "pairs")


def test_other_counts_or_another_set_need_another_folder(store: Store, tmp_path: Path) -> None:
    write_pairs(store, tmp_path, 4, config, 0, fleet=Fleet(1))
    with pytest.raises(DataError, match="holds a set of pairs of other sources or settings"):
        write_pairs(store, tmp_path, 5, config, 0, fleet=Fleet(1))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(DataError, match="is not empty and holds no set of spectrograms"):
        write_spectrograms(store, tmp_path / "other", {"train": 1}, config, 0, fleet=Fleet(1))


def test_a_split_the_set_lacks_is_named_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no speech in split 'test'"):
        write_spectrograms(store, tmp_path / "new", {"test": 5}, config, 0, fleet=Fleet(1))
    assert not (tmp_path / "new").exists()


def test_a_count_of_zero_leaves_a_split_out(store: Store, tmp_path: Path) -> None:
    assert write_spectrograms(store, tmp_path, {"train": 3, "valid": 0}, config, 0, fleet=Fleet(1)) == {"train": 3}
    assert not list(tmp_path.glob("valid*"))
