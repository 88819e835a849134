"""Scenes of the long training: voices, noises, rooms, what is done to them, and their sound."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from unhiss.config import Experiment
from unhiss.data.mixing import Mixer
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.train import stft
from unhiss.train.degradations import gain_control, lost_packets
from unhiss.train.early_rooms import EARLY_S, Rooms, fast_size, simulate
from unhiss.train.noise_variations import envelope_of, responses_db, spectrum_of
from unhiss.train.pieces import MappedClipPool
from unhiss.train.scene_audio import SceneAudio, render, scale_rows
from unhiss.train.scenes import Scene, Scenes, capped, noise_weights
from unhiss.train.voices import draw_turns, formant_gains

RATE = 48000
CPU = torch.device("cpu")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def scenes(wide: Store, tiny: Callable[..., Experiment], *changes: str) -> Scenes:
    experiment = tiny("small-long", "vary.speaker_share=0.6", "vary.rooms=1", "causal.segment_s=2", *changes)
    return Scenes(Mixer(wide, "train", experiment.mixing), experiment, RATE, 2 * RATE)


def sound_of(wide: Store, drawn: list[Scene], rooms: Rooms | None = None, seed: int = 0) -> SceneAudio:
    speech, noise = (MappedClipPool(wide, wide.part(role, "train"), CPU) for role in ("speech", "noise"))
    return render(drawn, speech, noise, rooms, 2 * RATE, RATE, seed)


def test_a_cap_on_speakers_holds_and_leaves_the_others_their_proportions() -> None:
    weights = np.array([50.0, 30.0, 10.0, 5.0, 5.0, 4.0, 4.0, 4.0])
    names = ["a", "a", "b", "c", "d", "e", "f", "g"]
    new = capped(weights, names, 0.3)
    shares = {name: sum(w for w, n in zip(new, names, strict=True) if n == name) / new.sum() for name in names}
    assert max(shares.values()) == pytest.approx(0.3, rel=1e-3)
    assert shares["b"] / shares["c"] == pytest.approx(2)
    assert new[0] / new[1] == pytest.approx(5 / 3)


def test_a_cap_that_too_few_speakers_can_meet_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"speaker_share = 0.3 with 2 speakers; expected 0.500 or more"):
        capped(np.ones(3), ["a", "b", "b"], 0.3)


def test_short_noise_is_less_likely(wide: Store) -> None:
    short, long = noise_weights(wide.part("noise", "train"), 0.5, RATE)
    assert long / short == pytest.approx(3)  # 0.9 and 0.3 s


def test_people_speak_in_turn_and_the_loudest_has_0_db(rng: np.random.Generator) -> None:
    for _ in range(20):
        turns = draw_turns(rng, 4 * RATE, RATE, 3, (-25, 0))
        assert turns[0].first == 0 and turns[-1].last <= 4 * RATE
        assert all(a.last <= b.first and a.person != b.person for a, b in itertools.pairwise(turns))
        assert max(turn.level_db for turn in turns) == 0 and min(turn.level_db for turn in turns) >= -25


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_formants_move_and_the_pitch_stays(factor: float) -> None:
    t = np.arange(RATE) / RATE
    peak = 1500.0
    hz = 120 * np.arange(1, 60)
    voice = sum(np.exp(-0.5 * ((f - peak) / 300) ** 2) * np.sin(2 * np.pi * f * t) for f in hz)
    x = stft.analyse(torch.from_numpy(voice[None].astype(np.float32)), RATE)[:, 5:55]
    moved = (x * formant_gains(x, np.array([factor]))).square().sum((0, 1, 3)).numpy()
    bins = np.arange(moved.size) / stft.WINDOW_S
    centre = (moved * bins).sum() / moved.sum()
    assert centre == pytest.approx(peak * factor, rel=0.1)
    top = np.sort(np.argsort(moved)[-6:]) / stft.WINDOW_S
    assert np.abs(top / 120 - np.round(top / 120)).max() < 0.2, "what sounds are still multiples of 120 Hz"


def test_noise_takes_the_spectrum_or_the_envelope_of_another_and_keeps_its_level() -> None:
    torch.manual_seed(0)
    noise, other = torch.randn(2, 100, 257, 2), torch.randn(2, 100, 257, 2)
    other[:, :, 128:] *= 0.1
    coloured = noise * spectrum_of(noise, other)
    assert coloured.square().mean() == pytest.approx(float(noise.square().mean()), rel=0.01)
    levels = coloured.square().mean((1, 3))
    assert ((10 * torch.log10(levels[:, 20:100].mean(1) / levels[:, 160:240].mean(1)) - 18).abs() < 3).all()
    other[:, ::2] = 0
    other[:, :50] *= 0.01
    shaped = noise * envelope_of(noise, other)
    assert shaped.square().mean() == pytest.approx(float(noise.square().mean()), rel=0.01)
    assert shaped[:, 60:].square().mean() > 30 * shaped[:, :40].square().mean()


def test_a_response_stays_within_its_range_without_resonances(rng: np.random.Generator) -> None:
    hz = np.arange(769) / stft.WINDOW_S
    assert np.abs(responses_db(rng, hz, 12, np.zeros(20, bool))).max() <= 12
    mixed = np.abs(responses_db(rng, hz, 0, np.arange(40) < 20)).max(1)
    assert mixed[:20].max() > 6 and (mixed[:20] > 0).all() and (mixed[20:] == 0).all()


def test_gain_control_falls_fast_and_rises_slowly(rng: np.random.Generator) -> None:
    levels = torch.from_numpy(np.repeat([-60.0, 0.0, -60.0], [200, 200, 400]).astype(np.float32)).repeat(4, 1)
    for gains in gain_control(rng, levels, 0.016).numpy():
        assert abs(gains.mean()) < 1e-4
        assert gains[199] > gains[399] and gains[-1] > gains[399]
        half = (gains[199] + gains[399]) / 2
        assert np.flatnonzero(gains[200:400] < half)[0] < np.flatnonzero(gains[400:] > half)[0]


def test_lost_packets_are_silent_and_the_rest_is_as_it_was(rng: np.random.Generator) -> None:
    received = lost_packets(rng, 4.0)
    assert received.shape == (4000,) and set(received) == {0.0, 1.0}
    signals = torch.ones(3, 4 * RATE)
    scale_rows([signals], {1: received})
    gains = signals[1].numpy()
    assert (signals[[0, 2]] == 1).all() and gains.min() == 0 and gains.max() == 1
    assert (gains < 0.01).mean() == pytest.approx((received == 0).mean(), abs=0.01)


def test_a_room_keeps_the_speech_in_time_and_its_early_part_apart(rng: np.random.Generator) -> None:
    speech, _ = simulate(rng, 16000)
    assert np.argmax(np.abs(speech)) < 16000 * EARLY_S
    rooms = Rooms(1, 16000, 16000, 0, CPU)
    impulse = torch.zeros(1, 16000)
    impulse[0, 100] = 1
    full, early, noise = (part[0].numpy() for part in rooms.reverberate(torch.tensor([0]), impulse, impulse))
    size = int(16000 * EARLY_S)
    np.testing.assert_allclose(full[: 100 + size * 3 // 4], early[: 100 + size * 3 // 4], atol=1e-5)
    assert np.abs(early[100 + size :]).max() < 1e-5 < np.abs(full[100 + size :]).max()
    assert full.shape == noise.shape == (16000,) and abs(float(full[100])) > 0.1


def test_fast_sizes_are_even_and_near() -> None:
    assert fast_size(225600) % 2 == 0
    assert 225600 <= fast_size(225600) < 225600 * 1.04


PLAIN = ("vary.snr_db=[10,10]", "vary.people=0", "vary.clean=0", "vary.noise_only=0", "vary.noises=1",
         "vary.level_dbfs=[-30,-30]", "augment.reverb=0", "augment.babble=0", "augment.gate=0", "augment.clip=0",
         "vary.packet_loss=0")  # fmt: skip


def test_a_scene_has_its_snr_and_its_level(
    wide: Store, tiny: Callable[..., Experiment], rng: np.random.Generator
) -> None:
    source = scenes(wide, tiny, *PLAIN)
    sound = sound_of(wide, [source.draw(rng) for _ in range(12)])
    noise_db = np.median([10 * torch.log10(row[row != 0].square().mean()) for row in sound.noise])
    assert noise_db == pytest.approx(-40, abs=1), "where it sounds: short noise has pauses"
    np.testing.assert_allclose(sound.level, 10 ** (-30 / 20), rtol=1e-5)
    assert len(sound.rows) == 0, "no room"


def test_babble_has_its_snr_too(wide: Store, tiny: Callable[..., Experiment], rng: np.random.Generator) -> None:
    source = scenes(wide, tiny, *PLAIN, "augment.babble=1")
    sound = sound_of(wide, [source.draw(rng) for _ in range(6)])
    np.testing.assert_allclose(10 * torch.log10(sound.noise.square().mean(1)), -40, atol=0.1)


def test_only_late_reverberation_is_left_out_of_the_target(
    wide: Store, tiny: Callable[..., Experiment], rng: np.random.Generator
) -> None:
    source = scenes(wide, tiny, *PLAIN)
    drawn = [source.draw(rng) for _ in range(3)]
    drawn[1].room = 0
    dry, wet = (sound_of(wide, drawn, rooms) for rooms in (None, Rooms(1, 2 * RATE, RATE, 0, CPU)))
    assert wet.rows.tolist() == [1] and wet.early.shape == (1, 2 * RATE)
    torch.testing.assert_close(wet.speech[[0, 2]], dry.speech[[0, 2]])
    assert 0 < (wet.early[0] - wet.speech[1]).square().mean() < wet.speech[1].square().mean()


def test_sound_stays_within_full_scale_and_follows_from_its_generator(
    wide: Store, tiny: Callable[..., Experiment]
) -> None:
    source = scenes(wide, tiny, "vary.level_dbfs=[-3,0]", "vary.people=1")
    one, two = (sound_of(wide, [source.draw(np.random.default_rng(seed)) for seed in range(12)], seed=3) for _ in "ab")
    torch.testing.assert_close(one.noise, two.noise, rtol=0, atol=0)
    assert (one.speech + one.noise).abs().max() <= 1.0001


def test_shares_of_clean_speech_and_of_noise_alone(
    wide: Store, tiny: Callable[..., Experiment], rng: np.random.Generator
) -> None:
    loud = ("vary.level_dbfs=[-20,-20]", "augment.clip=0")
    clean = scenes(wide, tiny, "vary.clean=1", "vary.noise_only=0", *loud).draw(rng)
    noise = scenes(wide, tiny, "vary.noise_only=1", "vary.clean=0", *loud).draw(rng)
    sound = sound_of(wide, [clean, noise])
    assert sound.speech[0].any() and not sound.noise[0].any()
    assert sound.noise[1].any() and not sound.speech[1].any()
