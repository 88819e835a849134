"""Frames in torch against numpy's and librosa's and mixtures on the device against data.mixing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unhiss.config import Experiment
from unhiss.data.mixing import Mixer, mix
from unhiss.data.store import Store
from unhiss.dsp import frames
from unhiss.dsp.stft import analyse
from unhiss.train.batches import mix as mix_on_device
from unhiss.train.frame_batches import BIN_LEVEL, FrameBatches
from unhiss.train.stft import CONTEXT_SIZE, frame_spectrum, scale_frames

ROUND_OFF_DB = 0.02  # float32 transforms differ by some 1e-6 of the loudest bin; at -60 dB that is this much
CPU = torch.device("cpu")


def same_frames(frames: np.ndarray, expected: np.ndarray) -> None:
    """Equal within round-off where a bin stands out of the last 20 dB, near it there."""
    difference_db = np.abs(frames - expected) * 80
    assert difference_db[expected > 0.25].max() < ROUND_OFF_DB
    assert difference_db.max() < 0.5


def test_torch_frames_equal_numpys(rng: np.random.Generator) -> None:
    audio = rng.standard_normal((3, frames.SIZE)).astype(np.float32)
    expected, spectra, reference = frames.frame(audio)
    result = frame_spectrum(torch.from_numpy(audio))
    assert result.shape == (3, 128, 128)
    np.testing.assert_allclose(result.numpy(), spectra, atol=1e-4)
    same_frames(scale_frames(result.abs(), torch.from_numpy(reference)).numpy(), expected)


def test_torch_frames_equal_librosas(rng: np.random.Generator) -> None:
    librosa = pytest.importorskip("librosa")
    t = np.arange(frames.SIZE) / 22050
    audio = (np.sin(2 * np.pi * 440 * t) + 0.01 * rng.standard_normal(t.size)).astype(np.float32)
    magnitude = np.abs(librosa.stft(audio, n_fft=255, hop_length=63))
    level_db = librosa.amplitude_to_db(magnitude, ref=np.max, top_db=80)
    result = frame_spectrum(torch.from_numpy(audio)[None]).abs()
    same_frames(scale_frames(result, result.amax())[0].numpy(), (level_db + 80) / 80)


def test_context_frames_are_columns_cut_from_a_longer_recording(rng: np.random.Generator) -> None:
    audio = rng.standard_normal(CONTEXT_SIZE + 630).astype(np.float32)
    whole = analyse(audio, frames.N_FFT, frames.HOP)
    result = frame_spectrum(torch.from_numpy(audio[630:])[None], "context")[0]
    assert result.shape == (128, 128)
    np.testing.assert_allclose(result.numpy(), whole[:, 10:138], atol=1e-4)


def test_scale_follows_its_reference_and_clips_at_80_db() -> None:
    magnitude = torch.tensor([1.0, 0.1, 1e-4, 0.0, 2.0])
    result = scale_frames(magnitude, torch.tensor(1.0))
    assert result.tolist() == pytest.approx([1.0, 0.75, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("config", ["unet", "unet-reference"])
def test_mixtures_on_the_device_are_those_of_data_mixing_to_the_bit(store: Store, tiny, config: str) -> None:
    experiment: Experiment = tiny(config, "mixing.two_noises=0.5", "mixing.noise_only=0.1", "mixing.speech_only=0.1")
    batches = FrameBatches(store, "train", experiment, CPU)
    recipes = batches.mixer.draw(np.random.default_rng(1), 40, batches.length)
    assert {len(recipe.noises) for recipe in recipes} == {1, 2}
    noisy, clean = mix_on_device(recipes, batches.speech, batches.noise, batches.length)
    for index, recipe in enumerate(recipes):
        expected_noisy, expected_clean = mix(recipe, store, "train")
        assert np.array_equal(clean[index].numpy(), expected_clean)
        assert np.array_equal(noisy[index].numpy(), expected_noisy)


def test_frame_and_target_share_the_noisy_frames_reference(store: Store, tiny) -> None:
    batch = FrameBatches(store, "train", tiny("unet-reference"), CPU).batch(0, 0, 4)
    assert batch.frames.amax((1, 2, 3)).tolist() == pytest.approx([1.0] * 4)
    gain_db = (batch.target - batch.frames) * 80
    real_db = 20 * torch.log10(batch.clean.abs() / batch.noisy.abs())[:, None]
    unclipped = (batch.target > 0.05) & (batch.frames > 0.05) & (batch.target < 1)
    assert unclipped.any()
    assert torch.allclose(gain_db[unclipped], real_db[unclipped], atol=0.01)


def test_reference_offset_lowers_the_frames_by_what_was_drawn(store: Store, tiny) -> None:
    plain = FrameBatches(store, "train", tiny("unet", "mixing.reference_offset_db=[0, 0]"), CPU).batch(0, 0, 4)
    lower = FrameBatches(store, "train", tiny("unet", "mixing.reference_offset_db=[20, 20]"), CPU).batch(0, 0, 4)
    assert torch.allclose(lower.frames.amax((1, 2, 3)), plain.frames.amax((1, 2, 3)) - 0.25, atol=1e-4)


def test_active_speech_comes_out_at_about_one_a_bin(store: Store, tiny) -> None:
    quiet = ("mixing.noise_only=0", "mixing.level_dbfs=[-40, -40]")
    batches = FrameBatches(store, "train", tiny("unet", *quiet), CPU)
    power = batches.batch(0, 0, 64).clean.abs().square().mean((1, 2))
    assert 0.3 < power.max().sqrt() < 3
    assert pytest.approx(np.sqrt(np.sum(np.hanning(256)[:-1] ** 2)), rel=1e-3) == BIN_LEVEL


@pytest.mark.parametrize(("dynamic", "same"), [("true", False), ("false", True)])
def test_fixed_mixtures_repeat_each_epoch_in_another_order_and_dynamic_ones_do_not(
    store: Store, tiny, dynamic: str, same: bool
) -> None:
    settings = tiny("unet", f"mixing.dynamic={dynamic}", "mixing.reference_offset_db=[0, 0]", "train.examples=10")
    batches = FrameBatches(store, "train", settings, CPU)
    first, second = (torch.cat([batch.clean for (batch,) in batches.epoch(epoch)]) for epoch in (0, 1))
    assert len(first) == len(second) == 10
    assert not torch.equal(first, second)
    sums = [sorted(spectra.abs().sum((1, 2)).tolist()) for spectra in (first, second)]
    assert np.allclose(sums[0], sums[1]) == same


def test_training_and_validation_draw_different_snrs(store: Store, tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = Mixer.draw

    def recording(*args):
        recipes = draw(*args)
        drawn.append([recipe.snr_db for recipe in recipes])
        return recipes

    monkeypatch.setattr(Mixer, "draw", recording)
    for split in ("train", "valid"):
        FrameBatches(store, split, tiny("unet"), CPU).batch(0, 0, 2)
    assert drawn[0] != drawn[1]


def test_batches_of_an_epoch_differ_and_follow_from_the_seed(store: Store, tiny) -> None:
    first, again, other = (
        [batch.frames for (batch,) in FrameBatches(store, "train", tiny("unet", f"train.seed={seed}"), CPU).epoch(0)]
        for seed in (0, 0, 1)
    )
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))
    assert not torch.equal(first[0], first[1])


def test_an_epoch_can_begin_in_its_middle(store: Store, tiny) -> None:
    batches = FrameBatches(store, "train", tiny(), CPU)
    whole, rest = list(batches.epoch(1)), list(batches.epoch(1, 2))
    assert len(whole) == 3
    assert [torch.equal(a.frames, b.frames) for (a,), (b,) in zip(whole[2:], rest, strict=True)] == [True]


def test_validation_is_the_same_every_time_and_has_its_count(store: Store, tiny) -> None:
    batches = FrameBatches(store, "valid", tiny(), CPU)
    first, second = list(batches.validation()), list(batches.validation())
    assert [len(batch.frames) for batch in first] == [2, 1]
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(first, second, strict=True))
