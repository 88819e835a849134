from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unhiss.data.mixing import Mixer, Recipe, mix
from unhiss.data.store import Store
from unhiss.dsp.audio import FULL_SCALE
from unhiss.errors import DataError
from unhiss.settings import MixConfig

# A mixture is float32 and its sources are 16 bit: 0.01 dB is far above both roundings.
ROUNDING_DB = 0.01
config = MixConfig(snr_db=(-5, 20))


@pytest.fixture(scope="module")
def store(prepared: Store) -> Store:
    return prepared


def level_db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(audio.astype(np.float64) ** 2)))


def active_db(audio: np.ndarray, rate: int) -> float:
    """The level over frames no more than 15.9 dB below itself, found by trying every set of loudest frames."""
    size = rate // 50
    power = np.sort((audio[: audio.size // size * size].astype(np.float64).reshape(-1, size) ** 2).mean(1))[::-1]
    means = np.cumsum(power) / np.arange(1, power.size + 1)
    count = max(k for k in range(1, power.size + 1) if power[k - 1] >= means[k - 1] * 10**-1.59)
    return float(10 * np.log10(means[count - 1]))


def draw(store: Store, seed: int, count: int = 20, length: int | None = None, **changes) -> list[Recipe]:
    return Mixer(store, "train", replace(config, **changes)).draw(np.random.default_rng(seed), count, length)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), snr_db=st.floats(-20, 40), level_dbfs=st.floats(-50, -5))
def test_a_mixture_has_the_requested_snr_and_level(store: Store, seed: int, snr_db: float, level_dbfs: float) -> None:
    for recipe in draw(store, seed, 3, snr_db=(snr_db, snr_db), level_dbfs=(level_dbfs, level_dbfs)):
        noisy, clean = mix(recipe, store, "train")
        speech_db = active_db(clean, store.rate)
        assert speech_db == pytest.approx(level_dbfs, abs=ROUNDING_DB + 0.01)
        assert speech_db - level_db(noisy - clean) == pytest.approx(snr_db, abs=2 * ROUNDING_DB + 0.01)
        assert recipe.snr_db == pytest.approx(snr_db, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), length=st.integers(1, 300_000))
def test_noise_is_cut_or_repeated_to_the_length_and_speech_ends_in_silence(
    store: Store, seed: int, length: int
) -> None:
    recipe = draw(store, seed, 1, length)[0]
    noisy, clean = mix(recipe, store, "train")
    assert noisy.shape == clean.shape == (length,)
    assert noisy.dtype == clean.dtype == np.float32
    row = store.part("speech", "train")[recipe.speech]
    speech = store.samples(row)[recipe.speech_start :][:length].astype(np.float32) * np.float32(recipe.speech_gain)
    assert np.array_equal(clean, np.pad(speech, (0, length - speech.size)))
    noise = np.array(store.samples(store.part("noise", "train")[recipe.noises[0]]))
    begin = recipe.noise_starts[0]
    endless = np.tile(noise, 2 + length // noise.size)[begin : begin + length]
    added = noisy.astype(np.float64) - clean
    rounding = 2e-7 * max(1.0, float(np.abs(noisy).max()))  # of float32, whose steps grow with what is rounded
    assert added == pytest.approx(endless * recipe.noise_gains[0], abs=rounding)


def test_a_mixture_is_as_long_as_its_speech_unless_told_otherwise(store: Store) -> None:
    for recipe in draw(store, 1):
        assert recipe.length == store.part("speech", "train")[recipe.speech].length
        assert recipe.speech_start == 0


def test_the_same_seed_draws_the_same_recipes_and_samples(store: Store) -> None:
    first, again, other = draw(store, 5), draw(Store(store.folder), 5), draw(store, 6)
    assert first == again != other
    for one, two in zip(first, again, strict=True):
        for a, b in zip(mix(one, store, "train"), mix(two, store, "train"), strict=True):
            assert np.array_equal(a, b)


def test_gains_survive_json_so_a_recipe_can_be_kept(store: Store) -> None:
    for recipe in draw(store, 2):
        kept = json.loads(json.dumps([recipe.speech_gain, *recipe.noise_gains]))
        assert kept == [float(np.float32(gain)) for gain in (recipe.speech_gain, *recipe.noise_gains)]


def test_a_mixture_by_hand() -> None:
    """Samples 100, -200 by 2 / 32767; noise 10, 20, 30 from its second on, by 1 / 32767, starts over."""

    class Held:
        def part(self, role: str, split: str) -> list[str]:
            return [role]

        def samples(self, row: str) -> np.ndarray:
            return np.array({"speech": [100, -200], "noise": [10, 20, 30]}[row], np.int16)

    recipe = Recipe(
        length=5, speech=0, speech_start=0, speech_gain=2 / FULL_SCALE, noises=(0,), noise_starts=(1,),
        noise_gains=(1 / FULL_SCALE,), snr_db=0.0, level_dbfs=0.0,
    )  # fmt: skip
    noisy, clean = mix(recipe, Held(), "train")  # type: ignore[arg-type]
    assert clean * FULL_SCALE == pytest.approx([200, -400, 0, 0, 0], abs=1e-3)
    assert noisy * FULL_SCALE == pytest.approx([220, -370, 10, 20, 30], abs=1e-3)


def test_shares_of_noise_only_and_speech_only_examples_are_kept(store: Store) -> None:
    recipes = draw(store, 3, 4000, 8064, noise_only=0.2, speech_only=0.1, two_noises=0.3)
    silent_speech = sum(recipe.speech_gain == 0 for recipe in recipes)
    silent_noise = sum(recipe.noise_gains[0] == 0 for recipe in recipes)
    two = sum(len(recipe.noises) == 2 for recipe in recipes)
    # Five standard deviations of a share of 4,000 draws are at most 0.037.
    assert [silent_speech / 4000, silent_noise / 4000, two / 4000] == pytest.approx([0.2, 0.1, 0.3], abs=0.037)
    assert not any(recipe.speech_gain == 0 == recipe.noise_gains[0] for recipe in recipes)


def test_two_noises_together_have_the_snr_of_one(store: Store) -> None:
    for recipe in draw(store, 4, 20, two_noises=1.0):
        noisy, clean = mix(recipe, store, "train")
        found = active_db(clean, store.rate) - level_db(noisy - clean)
        assert found == pytest.approx(recipe.snr_db, abs=1.5)  # powers add only on average


@pytest.mark.parametrize("balance, most", [(1.0, 1.15), (0.0, 2.3)])
def test_balance_makes_rare_kinds_of_noise_as_likely_as_common_ones(store: Store, balance: float, most: float) -> None:
    recipes = draw(store, 8, 6000, 8064, kind_balance=balance)
    rows = store.part("noise", "train")
    kinds = [rows[recipe.noises[0]].kind for recipe in recipes]
    clips = [row.kind for row in rows]
    counts = {kind: kinds.count(kind) for kind in clips}
    expected = {kind: 1 / len(set(clips)) if balance else clips.count(kind) / len(clips) for kind in clips}
    for kind, count in counts.items():
        assert count / 6000 == pytest.approx(expected[kind], abs=0.035)
    assert max(counts.values()) / min(counts.values()) <= most


def test_a_split_without_speech_or_noise_is_named(store: Store) -> None:
    with pytest.raises(DataError, match="holds no speech in split 'test'"):
        Mixer(store, "test", config)


def test_nothing_is_written_into_the_set(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        store.samples(store.rows[0])[0] = 1
