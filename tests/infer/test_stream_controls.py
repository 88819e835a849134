"""Stream: reset, copy, shared calls, mix and limit, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.errors import AudioError, ConfigError, ModelError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream

Make = Callable[..., Path]
ROOT = Path(__file__).parent.parent.parent
ROUND_OFF = 1e-5


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def leveller(causal_model: Make) -> CausalModel:
    return CausalModel(causal_model("leveller"))


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_stream_is_as_new_after_reset_and_after_flush(
    rate: int, leveller: CausalModel, rng: np.random.Generator
) -> None:
    sound, stream = noise(rng, 2, 4000), Stream(rate, 2, leveller)
    first = stream.push(sound)
    assert stream.flush().shape == (2, stream.latency.samples)
    np.testing.assert_array_equal(stream.push(sound), first)
    stream.push(sound[:, :123])
    stream.reset()
    np.testing.assert_array_equal(stream.push(sound), first)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_copy_goes_on_by_itself(rate: int, leveller: CausalModel, rng: np.random.Generator) -> None:
    sound, stream = noise(rng, 2, 8000), Stream(rate, 2, leveller, mix=0.8, atten_limit_db=12)
    stream.push(sound[:, :3001])
    twin, other = stream.copy(), stream.copy()
    expected = stream.push(sound[:, 3001:])
    other.push(-sound)
    other.reset()
    np.testing.assert_array_equal(twin.push(sound[:, 3001:]), expected)
    np.testing.assert_array_equal(twin.flush(), stream.flush())


def test_several_streams_may_share_one_call_of_the_model(leveller: CausalModel, rng: np.random.Generator) -> None:
    alone, shared = ([Stream(rate, 1, leveller) for rate in (48000, 48000, 44100)] for _ in range(2))
    for _ in range(20):
        blocks = [noise(rng, size) for size in (768, 768, 706)]
        spectra = [stream.analyse(block) for stream, block in zip(shared, blocks, strict=True)]
        counts = {spectrum.shape[1] for spectrum in spectra}
        found = []
        for count in counts:
            group = [i for i, spectrum in enumerate(spectra) if spectrum.shape[1] == count]
            states = np.concatenate([shared[i].state for i in group])
            cleaned, states = leveller.run(np.concatenate([spectra[i] for i in group]), states)
            for row, i in enumerate(group):
                shared[i].state = states[row : row + 1]
                found.append((i, shared[i].synthesise(blocks[i], spectra[i], cleaned[row : row + 1])))
        for i, block in found:
            np.testing.assert_allclose(block, alone[i].push(blocks[i]), atol=ROUND_OFF)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_mix_zero_is_the_input_itself(rate: int, causal_model: Make, rng: np.random.Generator) -> None:
    sound = noise(rng, 2, 20000)
    np.testing.assert_array_equal(unhiss.denoise(sound, rate, model=causal_model("gain", 0.0), mix=0), sound)


def test_mix_is_a_weighted_sum(causal_model: Make, rng: np.random.Generator) -> None:
    sound, path = noise(rng, 20000), causal_model("tilt")
    expected = 0.75 * unhiss.denoise(sound, 48000, model=path) + 0.25 * sound
    np.testing.assert_allclose(unhiss.denoise(sound, 48000, model=path, mix=0.75), expected, atol=ROUND_OFF)


@pytest.mark.parametrize(("gain", "kept"), [(0.0, 10**-0.3), (0.1, 10**-0.3), (-0.2, 10**-0.3), (0.9, 0.9)])
def test_no_more_is_taken_out_than_the_limit(
    gain: float, kept: float, causal_model: Make, rng: np.random.Generator
) -> None:
    sound = noise(rng, 20000)
    found = unhiss.denoise(sound, 16000, model=causal_model("gain", gain), atten_limit_db=6, guard=False)
    np.testing.assert_allclose(found, kept * sound, atol=ROUND_OFF)


def test_a_limit_of_zero_takes_nothing_out(causal_model: Make, rng: np.random.Generator) -> None:
    sound = noise(rng, 20000)
    found = unhiss.denoise(sound, 48000, model=causal_model("tilt"), atten_limit_db=0)
    np.testing.assert_allclose(found, sound, atol=ROUND_OFF)


@pytest.mark.parametrize("level", [2.0**-14, 0.013, 32768.0])
def test_the_level_of_a_recording_changes_nothing(level: float, causal_model: Make, rng: np.random.Generator) -> None:
    sound, path = noise(rng, 20000), causal_model("tilt")
    found = unhiss.denoise(np.float32(level) * sound, 44100, model=path)
    np.testing.assert_allclose(found, level * unhiss.denoise(sound, 44100, model=path), atol=level * ROUND_OFF)


def test_the_callers_block_is_neither_written_nor_kept(leveller: CausalModel, rng: np.random.Generator) -> None:
    for rate in (16000, 44100):
        stream, twin = Stream(rate, model=leveller, mix=0.5), Stream(rate, model=leveller, mix=0.5)
        buffer = np.zeros(300, np.float32)
        for _ in range(20):
            block = noise(rng, 300)
            block.flags.writeable = False
            buffer[:] = block  # one buffer for all blocks, as drivers have it
            found = stream.push(buffer)
            np.testing.assert_array_equal(found, twin.push(block))
            found[:] = np.nan  # what was given out belongs to the caller


def test_a_model_that_looks_ahead_is_refused_with_how_far(frame_model: Make) -> None:
    with pytest.raises(ModelError, match="line looks 366 ms ahead and cannot stream; choose a causal model"):
        Stream(48000, model=frame_model())


def test_a_causal_model_has_no_rate_of_its_own(causal_model: Make) -> None:
    denoiser = unhiss.Denoiser(causal_model())
    assert (denoiser.rate, denoiser.latency_ms, denoiser.name) == (None, 32.0, "identity")


def test_end_to_end_is_not_for_causal_models(causal_model: Make) -> None:
    with pytest.raises(ConfigError, match="end_to_end is for frame models"):
        unhiss.Denoiser(causal_model(), end_to_end=True)


@pytest.mark.parametrize("options", [{"mix": 1.1}, {"mix": float("nan")}, {"atten_limit_db": -1}, {"threads": -1}])
def test_an_option_out_of_range_is_refused(options: dict, leveller: CausalModel) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Stream(48000, model=leveller, **options)


@pytest.mark.parametrize(
    ("rate", "channels", "line"), [(0, 1, "rate = 0"), (44.1, 1, "rate = "), (8000, 0, "channels = 0")]
)
def test_no_rate_and_no_channel_are_refused(rate: float, channels: int, line: str, leveller: CausalModel) -> None:
    with pytest.raises(AudioError, match=line):
        Stream(rate, channels, leveller)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("block", "line"),
    [
        (np.zeros((480, 2), np.float32), r"shape \(480, 2\); expected \(2, T\)"),
        (np.zeros(480, np.float32), r"shape \(480,\); expected \(2, T\)"),
        (np.zeros((2, 10), np.int16), "int16; expected float"),
        (np.full((2, 10), np.nan, np.float32), "NaN"),
    ],
)
def test_a_block_that_is_refused_changes_nothing(
    block: np.ndarray, line: str, leveller: CausalModel, rng: np.random.Generator
) -> None:
    stream, sound = Stream(44100, 2, leveller), noise(rng, 2, 3000)
    stream.push(sound)
    twin = stream.copy()
    with pytest.raises(AudioError, match=line):
        stream.push(block)
    np.testing.assert_array_equal(stream.push(sound), twin.push(sound))
