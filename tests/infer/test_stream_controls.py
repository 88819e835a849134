"""Stream: reset, copy, push_many, mix and limit, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unhiss
from unhiss.errors import AudioError, ConfigError, ModelError, UnhissError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream

Make = Callable[..., Path]
ROUND_OFF = 1e-5


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def leveller(causal_model: Make) -> CausalModel:
    return CausalModel(causal_model("leveller"))


@pytest.mark.parametrize("rate", [16000, 44100])
def test_reset_and_flush_restore_the_initial_state(rate: int, leveller: CausalModel, rng: np.random.Generator) -> None:
    audio, stream = noise(rng, 2, 4000), Stream(rate, 2, leveller)
    first = stream.push(audio)
    assert stream.flush().shape == (2, stream.latency.samples)
    np.testing.assert_array_equal(stream.push(audio), first)
    stream.push(audio[:, :123])
    stream.reset()
    np.testing.assert_array_equal(stream.push(audio), first)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_copy_is_independent(rate: int, leveller: CausalModel, rng: np.random.Generator) -> None:
    audio, stream = noise(rng, 2, 8000), Stream(rate, 2, leveller, mix=0.8, atten_limit_db=12)
    stream.push(audio[:, :3001])
    twin, other = stream.copy(), stream.copy()
    expected = stream.push(audio[:, 3001:])
    other.push(-audio)
    other.reset()
    np.testing.assert_array_equal(twin.push(audio[:, 3001:]), expected)
    np.testing.assert_array_equal(twin.flush(), stream.flush())


def test_many_streams_share_calls_of_the_model(
    leveller: CausalModel, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: list[dict[str, Any]] = [{}, {"atten_limit_db": 6.0}, {"bypass": True}, {"mix": 0.5}]
    kinds = [(48000, 1, options[0]), (48000, 2, options[1]), (48000, 1, options[2]), (44100, 1, options[3])]
    alone, together = ([Stream(rate, n, leveller, **given) for rate, n, given in kinds] for _ in range(2))
    run, calls = leveller.run, []

    def spy(spectrum: np.ndarray, state: np.ndarray, on_speech: object) -> tuple[np.ndarray, np.ndarray]:
        calls.append(len(spectrum))
        assert on_speech is None, "this model gives no probability"
        return run(spectrum, state)

    monkeypatch.setattr(leveller, "run", spy)
    for _ in range(20):
        blocks = [noise(rng, n, size) for n, size in ((1, 768), (2, 768), (1, 768), (1, 706))]
        calls.clear()
        out = Stream.push_many(together, blocks)
        # One call for all streams with the same number of frames: those at 48 kHz, and at 44.1 kHz mostly too.
        assert len(calls) <= 2 and max(calls) >= 4
        for one, block, result in zip(alone, blocks, out, strict=True):
            np.testing.assert_allclose(result, one.push(block), atol=ROUND_OFF)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other.flush(), one.flush(), atol=ROUND_OFF)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_mix_zero_is_the_input(rate: int, causal_model: Make, rng: np.random.Generator) -> None:
    audio = noise(rng, 2, 20000)
    np.testing.assert_array_equal(unhiss.denoise(audio, rate, model=causal_model("gain", 0.0), mix=0), audio)


def test_mix_is_a_weighted_sum(causal_model: Make, rng: np.random.Generator) -> None:
    audio, path = noise(rng, 20000), causal_model("tilt")
    expected = 0.75 * unhiss.denoise(audio, 48000, model=path) + 0.25 * audio
    np.testing.assert_allclose(unhiss.denoise(audio, 48000, model=path, mix=0.75), expected, atol=ROUND_OFF)


@pytest.mark.parametrize(("gain", "kept"), [(0.0, 10**-0.3), (0.1, 10**-0.3), (-0.2, 10**-0.3), (0.9, 0.9)])
def test_the_attenuation_is_limited(gain: float, kept: float, causal_model: Make, rng: np.random.Generator) -> None:
    audio = noise(rng, 20000)
    out = unhiss.denoise(audio, 16000, model=causal_model("gain", gain), atten_limit_db=6)
    np.testing.assert_allclose(out, kept * audio, atol=ROUND_OFF)


def test_a_limit_of_zero_removes_nothing(causal_model: Make, rng: np.random.Generator) -> None:
    audio = noise(rng, 20000)
    out = unhiss.denoise(audio, 48000, model=causal_model("tilt"), atten_limit_db=0)
    np.testing.assert_allclose(out, audio, atol=ROUND_OFF)


@pytest.mark.parametrize("level", [2.0**-14, 0.013, 32768.0])
def test_the_level_of_a_recording_changes_nothing(level: float, causal_model: Make, rng: np.random.Generator) -> None:
    audio, path = noise(rng, 20000), causal_model("tilt")
    out = unhiss.denoise(np.float32(level) * audio, 44100, model=path)
    np.testing.assert_allclose(out, level * unhiss.denoise(audio, 44100, model=path), atol=level * ROUND_OFF)


def test_the_block_of_the_caller_is_neither_written_nor_kept(leveller: CausalModel, rng: np.random.Generator) -> None:
    for rate in (16000, 44100):
        stream, twin = Stream(rate, model=leveller, mix=0.5), Stream(rate, model=leveller, mix=0.5)
        buffer = np.zeros(300, np.float32)
        for _ in range(20):
            block = noise(rng, 300)
            block.flags.writeable = False
            buffer[:] = block  # one buffer for all blocks, as in audio drivers
            out = stream.push(buffer)
            np.testing.assert_array_equal(out, twin.push(block))
            out[:] = np.nan  # the output belongs to the caller


def test_a_model_that_looks_ahead_is_refused_with_its_look_ahead(frame_model: Make) -> None:
    with pytest.raises(ModelError, match="line looks 366 ms ahead and cannot stream; choose a causal model"):
        Stream(48000, model=frame_model())


def test_a_causal_model_has_no_rate_of_its_own(causal_model: Make) -> None:
    denoiser = unhiss.Denoiser(causal_model())
    assert (denoiser.rate, denoiser.latency_ms, denoiser.name) == (None, 32.0, "identity")


def test_end_to_end_is_refused_for_causal_models(causal_model: Make) -> None:
    with pytest.raises(ConfigError, match="end_to_end is for frame models"):
        unhiss.Denoiser(causal_model(), end_to_end=True)


@pytest.mark.parametrize("options", [{"mix": 1.1}, {"mix": float("nan")}, {"atten_limit_db": -1}, {"threads": -1}])
def test_an_option_out_of_range_is_refused(options: dict, leveller: CausalModel) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Stream(48000, model=leveller, **options)


@pytest.mark.parametrize(
    ("rate", "channels", "line"), [(0, 1, "rate = 0"), (44.1, 1, "rate = "), (8000, 0, "channels = 0")]
)
def test_invalid_rates_and_channels_are_refused(rate: float, channels: int, line: str, leveller: CausalModel) -> None:
    with pytest.raises(UnhissError, match=line):
        Stream(rate, channels, leveller)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("block", "line"),
    [
        (np.zeros((480, 2), np.float32), r"shape \(480, 2\); expected \(2, T\)"),
        (np.zeros(480, np.float32), r"shape \(480,\); expected \(2, T\)"),
        (np.zeros((2, 10), np.int64), "int64; expected samples"),
        (np.full((2, 10), np.nan, np.float32), "NaN"),
    ],
)
def test_a_refused_block_changes_nothing(
    block: np.ndarray, line: str, leveller: CausalModel, rng: np.random.Generator
) -> None:
    stream, audio = Stream(44100, 2, leveller), noise(rng, 2, 3000)
    stream.push(audio)
    twin = stream.copy()
    with pytest.raises(AudioError, match=line):
        stream.push(block)
    np.testing.assert_array_equal(stream.push(audio), twin.push(audio))
