"""Training of causal models: augmented batches, and the path from config to ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from tiny_sets import ROOT, TINY, TINY_CAUSAL, make_store, tone

from unhiss.cli.export import command as export_command
from unhiss.cli.train import command as train_command
from unhiss.config import Experiment, load
from unhiss.data.mixing import mix
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.infer.denoiser import Denoiser
from unhiss.media.codecs import CODECS, Codec
from unhiss.settings import TrainConfig
from unhiss.train import augmentation, checkpoint, losses, stft
from unhiss.train.augmentation import change_speed
from unhiss.train.causal_batches import CausalBatches
from unhiss.train.loop import Run
from unhiss.train.networks import build_network
from unhiss.train.room_responses import reverberate, room_responses

CPU = torch.device("cpu")
SETTINGS = (
    *TINY, *TINY_CAUSAL, "causal.segment_s=0.8",
    "train.examples=4", "train.valid_examples=2", "train.save_every_steps=1",
)  # fmt: skip
AUGMENTED = ("babble", "gate", "reverb", "speed", "noise_speed", "eq_db", "band_limit", "clip", "codec")
PLAIN = tuple(f"augment.{name}=0" for name in AUGMENTED)
NOISE_EVERYWHERE = ("mixing.noise_only=0", "mixing.speech_only=0", "mixing.two_noises=0")


def experiment(*overrides: str) -> Experiment:
    return load(ROOT / "configs" / "small.toml", (*SETTINGS, *overrides))


def batches(store: Store, *overrides: str) -> CausalBatches:
    return CausalBatches(store, "train", experiment(*overrides), CPU)


def complex_of(spectrum: torch.Tensor) -> np.ndarray:
    return torch.view_as_complex(spectrum.contiguous()).numpy()


def test_a_batch_depends_on_seed_epoch_and_number_alone(wide: Store) -> None:
    source = batches(wide)
    one, same, other = source.batch(0, 0, 3), source.batch(0, 0, 3), source.batch(1, 0, 3)
    assert torch.equal(one.noisy, same.noisy) and torch.equal(one.clean, same.clean)
    assert not torch.equal(one.noisy, other.noisy)
    assert len(one) == 3 and one.noisy.shape == (3, 51, 769, 2)


def test_mixtures_without_augmentation_are_those_of_data_mixing(wide: Store) -> None:
    source = batches(wide, *PLAIN)
    batch = source.batch(0, 0, 4)
    recipes = source.mixer.draw(np.random.default_rng([0, 0, 0]), 4, source.length)
    for row, recipe in enumerate(recipes):
        noisy, clean = (torch.from_numpy(sound)[None] for sound in mix(recipe, wide, "train"))
        assert torch.allclose(batch.noisy[row], stft.analyse(noisy, 48000)[0], atol=1e-4)
        assert torch.allclose(batch.clean[row], stft.analyse(clean, 48000)[0], atol=1e-4)


def test_babble_is_other_voices_at_the_snr_that_was_drawn(wide: Store) -> None:
    source = batches(wide, *PLAIN, *NOISE_EVERYWHERE, "augment.babble=1")
    batch = source.batch(0, 0, 4)
    recipes = source.mixer.draw(np.random.default_rng([0, 0, 0]), 4, source.length)
    noise = stft.synthesise(batch.noisy - batch.clean, 48000)
    level_db = 10 * np.log10(noise.square().mean(-1).numpy())
    assert np.allclose(level_db, [recipe.level_dbfs - recipe.snr_db for recipe in recipes], atol=0.3)
    power = (batch.noisy - batch.clean).square().sum(-1).mean(1)
    assert (power[:, 200:400].mean(-1) < 0.01 * power[:, :60].mean(-1)).all()  # voices, not the white noise clips


@pytest.fixture(scope="module")
def responses() -> torch.Tensor:
    return room_responses(3, 16000, 7)


def test_room_responses_start_with_the_direct_sound_and_fade(responses: torch.Tensor) -> None:
    assert responses.shape == (3, 2, 6400)
    assert torch.allclose(responses.square().sum(-1), torch.ones(3, 2))
    assert (responses.abs().argmax(-1) == 0).all()
    assert (responses[..., 4800:].square().sum(-1) < 0.02).all()
    assert not torch.equal(responses[:, 0], responses[:, 1])
    assert torch.equal(responses, room_responses(3, 16000, 7))


def test_reverberation_is_convolution(responses: torch.Tensor) -> None:
    audio = torch.randn(3, 9000)
    expected = [np.convolve(a, r)[:9000] for a, r in zip(audio.numpy(), responses[:, 0].numpy(), strict=True)]
    assert np.allclose(reverberate(audio, responses[:, 0]).numpy(), expected, atol=1e-4)


def test_reverberation_applies_to_speech_and_noise_and_stays_in_the_target(
    wide: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    delayed = torch.zeros(48, 2, 2000)
    delayed[:, 0, 768] = delayed[:, 1, 1536] = 1  # one hop late, and two
    monkeypatch.setattr("unhiss.train.causal_batches.room_responses", lambda *_: delayed)
    dry, wet = (batches(wide, *PLAIN, f"augment.reverb={share}") for share in (0, 1))
    (dry_noisy, dry_clean), (noisy, clean) = ((b.noisy, b.clean) for b in (dry.batch(0, 0, 2), wet.batch(0, 0, 2)))
    assert torch.allclose(clean[:, 2:-1], dry_clean[:, 1:-2], atol=1e-3)
    assert torch.allclose((noisy - clean)[:, 3:-1], (dry_noisy - dry_clean)[:, 1:-3], atol=1e-3)


def test_clipped_mixtures_stay_below_a_ceiling(wide: Store) -> None:
    noisy = stft.synthesise(batches(wide, *PLAIN, "augment.clip=1").batch(0, 0, 4).noisy, 48000)
    peaks = noisy.abs().amax(-1, keepdim=True)
    assert ((noisy.abs() > 0.999 * peaks).sum(-1) > 20).all()


def test_a_band_limit_cuts_both_speech_and_noise(wide: Store) -> None:
    batch = batches(wide, *PLAIN, "augment.band_limit=1").batch(0, 0, 4)
    assert not batch.noisy[:, :, 513:].any()  # 16 kHz at most
    assert batch.noisy[:, :, :108].any()  # 3.4 kHz at least


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.coding)
def test_codecs_keep_timing_and_most_of_the_sound(codec: Codec) -> None:
    sound = tone(1.05, 48000, 130)[:50001].astype(np.float32)
    decoded = codec(sound, 48000, 0.2)
    assert decoded.shape == sound.shape and decoded.dtype == np.float32
    lags = np.correlate(decoded[8000:40000], sound[7900:40100], "valid")
    assert int(np.argmax(lags)) == 100
    power = np.abs(np.fft.rfft(decoded)) ** 2
    assert power[int(codec.rate * 0.55 * sound.size / 48000) :].sum() < 1e-3 * power.sum()
    assert 10 * np.log10(np.mean(sound**2) / np.mean((decoded - sound) ** 2)) > 6


def test_encoded_mixtures_differ_and_their_clean_speech_ends_with_the_codec(
    wide: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unhiss.train.causal_batches.CODECS", CODECS[:1])
    plain, coded = (batches(wide, *PLAIN, f"augment.codec={share}").batch(0, 0, 3) for share in (0, 1))
    assert torch.equal(coded.clean[:, :, :110], plain.clean[:, :, :110])
    assert not coded.clean[:, :, 116:].any()  # 3.6 kHz
    inside = slice(2, -2), slice(10, 100)
    for one, other in zip(complex_of(coded.noisy), complex_of(plain.noisy), strict=True):
        error = np.abs(one[inside] - other[inside]) ** 2
        assert 1e-7 < error.mean() / (np.abs(other[inside]) ** 2).mean() < 0.03


def test_responses_stay_within_their_decibels(wide: Store) -> None:
    plain, varied = (batches(wide, *PLAIN, f"augment.eq_db={db}").batch(0, 0, 3).clean for db in (0, 6))
    loud = np.abs(complex_of(plain)) > 1e-3
    change_db = 20 * np.log10(np.abs(complex_of(varied))[loud] / np.abs(complex_of(plain))[loud])
    assert 2 < np.abs(change_db).max() < 6.01


def test_bins_above_a_recordings_bandwidth_do_not_count(tmp_path: Path) -> None:
    batch = batches(make_store(tmp_path / "set", 48000, bandwidth_hz=8000), *PLAIN).batch(0, 0, 2)
    assert batch.valid_bins[:, 0, :243, 0].all() and not batch.valid_bins[:, 0, 244:, 0].any()  # 95 % of 8 kHz
    filtered = batch.noisy.clone()
    filtered[:, :, 257:] = 0
    loss, filtered_loss = (losses.causal_loss(estimate, batch, TrainConfig()) for estimate in (batch.noisy, filtered))
    assert torch.equal(loss, filtered_loss)


def test_some_steps_lower_the_loss(wide: Store) -> None:
    settings = experiment(*PLAIN)
    torch.manual_seed(0)
    model, batch = build_network(settings), batches(wide, *PLAIN).batch(0, 0, 2)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    values = []
    for _ in range(12):
        loss, _ = losses.evaluate(model, batch, settings)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.8 * values[0]


@pytest.fixture(scope="module")
def exported(wide: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """best.safetensors of a run of few steps, stopped and resumed, and model.onnx beside it."""
    run, config = tmp_path_factory.mktemp("run") / "run", str(ROOT / "configs" / "small.toml")
    model = run / "model.onnx"
    words = [config, "--data", str(wide.folder), "-o", str(run), *SETTINGS, "train.lr=0.02"]
    for command, arguments in (
        (train_command, words),
        (train_command, [*words, "--resume"]),
        (export_command, [str(run), "-o", str(model), "--licence", "MIT"]),
    ):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0, result.output
    return model


def test_the_onnx_file_has_the_names_and_metadata_of_the_contract(exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["unhiss.config"])["model"]["kind"] == "causal"
    assert json.loads(metadata["unhiss.config"])["stft"] == {"window_s": 0.032, "hop_s": 0.016}
    assert [item.name for item in session.get_inputs()] == ["spectrum", "state"]
    assert [item.name for item in session.get_outputs()] == ["cleaned", "next_state"]
    state = np.zeros((3, session.get_inputs()[1].shape[1]), np.float32)
    cleaned, after = session.run(None, {"spectrum": np.ones((3, 4, 129, 2), np.float32), "state": state})
    assert cleaned.shape == (3, 4, 129, 2) and after.shape == state.shape
    card = json.loads(exported.with_suffix(".json").read_text())
    assert card["causal"] is True and card["latency_ms"] == 32.0 and card["sample_rate"] == 0


@pytest.mark.parametrize("rate", [8000, 16000, 48000, 96000])
def test_recordings_are_denoised_as_torch_does_it(exported: Path, rate: int) -> None:
    model, _, _ = checkpoint.load_model(exported.parent / "best.safetensors")
    audio = np.random.default_rng(rate).standard_normal((3, 20 * rate * 16 // 1000)).astype(np.float32) * 0.1
    denoised = Denoiser(exported, threads=1)(audio, rate)
    with torch.no_grad():
        spectrum, _ = model(stft.analyse(torch.from_numpy(audio), rate), model.initial_state(3))  # type: ignore[operator]
    expected = stft.synthesise(spectrum, rate).numpy()
    assert np.abs(denoised - expected).max() < 1e-5
    assert np.abs(denoised - audio).max() > 0.01


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.4])
def test_a_tone_played_faster_is_higher(speed: float) -> None:
    tone_hz = torch.sin(2 * torch.pi * 500 * torch.arange(20000) / 48000)[None]
    changed = change_speed(tone_hz, np.array([speed]), 12000)[0]
    expected = torch.sin(2 * torch.pi * 500 * speed * torch.arange(12000) / 48000)
    assert changed.shape == (12000,)
    assert (changed - expected)[2:].abs().max() < 1e-3


def test_speech_and_noise_have_their_own_speeds_and_validation_keeps_its_speed(wide: Store) -> None:
    config = experiment("augment.speed=0.12", "augment.noise_speed=0.6").augment
    drawn = augmentation.draw_speeds(np.random.default_rng(0), config, 4000, "train")
    assert 0.4 < (drawn == 1).mean() < 0.6
    assert 1 / 1.12 <= drawn[0].min() < 0.9 and 1.1 < drawn[0].max() <= 1.12
    assert 1 / 1.6 <= drawn[1].min() < 0.64 and 1.55 < drawn[1].max() <= 1.6
    assert (augmentation.draw_speeds(np.random.default_rng(0), config, 9, "valid") == 1).all()
    batch = batches(wide, *PLAIN, "augment.speed=0.12", "augment.noise_speed=0.6").batch(0, 0, 4)
    assert torch.isfinite(batch.noisy).all() and batch.noisy.shape == (4, 51, 769, 2)


def test_intermittent_noise_starts_and_stops(wide: Store) -> None:
    gains = augmentation.intermittent_gains(np.random.default_rng(1), 192000, 48000)
    assert gains.shape == (192000,) and gains.max() == 1 and gains.min() < 0.18
    assert 2 < np.count_nonzero(np.diff(gains > 0.5)) < 60
    plain, gated = (
        batches(wide, *PLAIN, *NOISE_EVERYWHERE, f"augment.gate={share}").batch(0, 0, 3) for share in (0, 1)
    )
    assert torch.equal(plain.clean, gated.clean)
    assert (
        (gated.noisy - gated.clean).square().sum((1, 2, 3)) < (plain.noisy - plain.clean).square().sum((1, 2, 3))
    ).all()


def test_a_part_can_be_trained_alone(wide: Store, tmp_path: Path) -> None:
    run = Run(experiment("train.part=high_bands"), wide, tmp_path, CPU)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.train_step(*next(run.batches.epoch(0)))
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("high_bands.") for name in changed)
    with pytest.raises(ConfigError, match=r"train.part = 'heads'; this model has encoder, .*high_bands"):
        Run(experiment("train.part=heads"), wide, tmp_path, CPU)
