"""The probability of speech: of the newest frame in a Stream, as a share in reports, None where a model gives none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.dsp.stft import window
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream

Make = Callable[..., Path]
RATE, HOP = 16000, 256
ROUND_OFF = 1e-5


@pytest.fixture(scope="module")
def detector(causal_model: Make) -> CausalModel:
    """Gives e / (1 + e), e the mean of squares of a frame's real and imaginary parts."""
    return CausalModel(causal_model("detector", 0.5))


def expected(audio: np.ndarray) -> np.ndarray:
    """`(C, N)` for audio `(C, N * HOP)`; a frame is two hops, and zeros precede the first."""
    hops = np.pad(audio, ((0, 0), (HOP, 0))).reshape(len(audio), -1, HOP)
    frames = np.concatenate([hops[:, :-1], hops[:, 1:]], axis=2) * np.sqrt(window(2 * HOP))
    energy = np.square(np.abs(np.fft.rfft(frames))).mean(axis=2) / 2
    return energy / (1 + energy)


def swells(rng: np.random.Generator, channels: int, frames: int) -> np.ndarray:
    """Noise of a level of its own in every hop of every channel."""
    levels = 10 ** rng.uniform(-3, 0, (channels, frames)).repeat(HOP, axis=1)
    return (levels * rng.standard_normal((channels, frames * HOP))).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_that_of_the_newest_frame_of_each_channel(
    channels: int, detector: CausalModel, rng: np.random.Generator
) -> None:
    audio, stream = swells(rng, channels, 60), Stream(RATE, channels, detector)
    values = expected(audio)
    for first, last in ((0, 0), (0, 1), (1, HOP - 1), (HOP - 1, HOP), (HOP, 1000), (1000, 40 * HOP), (40 * HOP, 15000)):
        stream.push(audio[:, first:last])
        frames = last // HOP
        newest = values[:, frames - 1] if frames else np.zeros(channels)
        assert stream.speech_probability is not None and stream.speech_probability.dtype == np.float32
        np.testing.assert_allclose(stream.speech_probability, newest, atol=ROUND_OFF)


def test_it_is_zero_before_the_first_frame_and_after_a_flush_or_reset(
    detector: CausalModel, rng: np.random.Generator
) -> None:
    stream = Stream(48000, 2, detector)
    for end in (stream.flush, stream.reset):
        np.testing.assert_array_equal(stream.speech_probability, np.zeros(2))
        stream.push(swells(rng, 2, 10))
        assert stream.speech_probability is not None and stream.speech_probability.all()
        end()
    np.testing.assert_array_equal(stream.speech_probability, np.zeros(2))


def test_what_a_caller_does_with_it_changes_nothing(detector: CausalModel, rng: np.random.Generator) -> None:
    stream = Stream(RATE, 1, detector)
    stream.push(swells(rng, 1, 9))
    value = stream.speech_probability
    assert value is not None and value[0] > 0
    value[:] = -1
    assert stream.speech_probability is not None and stream.speech_probability[0] > 0


def test_saved_and_copied_streams_keep_it(detector: CausalModel, rng: np.random.Generator) -> None:
    stream = Stream(RATE, 2, detector)
    stream.push(swells(rng, 2, 9))
    for twin in (stream.copy(), Stream.load(stream.save(), detector)):
        np.testing.assert_array_equal(twin.speech_probability, stream.speech_probability)


def test_streams_that_share_a_call_keep_their_own(detector: CausalModel, rng: np.random.Generator) -> None:
    blocks = [swells(rng, channels, 9) for channels in (1, 3, 2)]
    streams = [Stream(RATE, len(block), detector) for block in blocks]
    Stream.push_many(streams, blocks)
    for stream, block in zip(streams, blocks, strict=True):
        assert stream.speech_probability is not None
        np.testing.assert_allclose(stream.speech_probability, expected(block)[:, -1], atol=ROUND_OFF)


def test_models_of_format_1_have_none(causal_model: Make, rng: np.random.Generator) -> None:
    model = CausalModel(causal_model("gain", 0.5))
    stream = Stream(RATE, 2, model)
    stream.push(swells(rng, 2, 9))
    assert not model.has_speech and stream.speech_probability is None


def test_the_sound_is_that_of_the_same_model_without_it(causal_model: Make, rng: np.random.Generator) -> None:
    audio = swells(rng, 2, 300)
    plain, detecting = (unhiss.denoise(audio, RATE, model=causal_model(kind, 0.5)) for kind in ("gain", "detector"))
    np.testing.assert_array_equal(detecting, plain)


@pytest.mark.parametrize("loudness_lufs", [None, -23.0])
def test_a_report_has_the_share_of_frames_with_speech_in_any_channel(
    loudness_lufs: float | None, causal_model: Make, tmp_path: Path, rng: np.random.Generator
) -> None:
    audio = 0.3 * swells(rng, 2, 400)
    unhiss.write(tmp_path / "in.wav", audio, RATE, subtype="FLOAT")
    share = {}
    for kind in ("gain", "detector"):
        report = unhiss.denoise_file(
            tmp_path / "in.wav", tmp_path / f"{kind}.wav", model=causal_model(kind, 0.5), clip_mode="none",
            loudness_lufs=loudness_lufs,
        )  # fmt: skip
        share[kind] = report.speech_share
    # The frames that end a stream hold the last samples and zeros.
    ended = np.pad(audio, ((0, 0), (0, 2 * HOP)))
    spoken = expected(ended).max(axis=0) >= 0.5
    assert 0.1 < spoken.mean() < 0.9
    assert share["gain"] is None and share["detector"] == pytest.approx(spoken.mean(), abs=1e-9)


def test_a_frame_model_reports_no_share(frame_model: Make, tmp_path: Path, rng: np.random.Generator) -> None:
    unhiss.write(tmp_path / "in.wav", swells(rng, 1, 99)[0] / 4, RATE)
    assert unhiss.denoise_file(tmp_path / "in.wav", tmp_path / "out.wav", model=frame_model()).speech_share is None
