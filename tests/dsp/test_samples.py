"""What callers may give as samples: one rule for every function, whose errors are those of unhiss."""

from __future__ import annotations

import array
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import unhiss
from unhiss.dsp.audio import as_channels, as_samples, check_rate
from unhiss.errors import AudioError
from unhiss.score import metrics


def of_every_step(dtype: type[np.integer]) -> np.ndarray:
    """The ends and the middle of a type of integers, and some values between."""
    info = np.iinfo(dtype)
    return np.linspace(int(info.min), int(info.max), 257).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_integers_are_scaled_as_soundfile_scales_them(dtype: type[np.integer]) -> None:
    values, buffer = of_every_step(dtype), io.BytesIO()
    soundfile.write(buffer, values, 16000, "PCM_16" if dtype == np.int16 else "PCM_32", format="WAV")
    expected, _ = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float64")
    np.testing.assert_array_equal(as_samples(values), expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 64, 128, 255], np.uint8), [-1, -0.5, 0, 127 / 128]),
        (np.array([-128, 0, 127], np.int8), [-1, 0, 127 / 128]),
        (np.array([0, 2**15, 2**16 - 1], np.uint16), [-1, 0, 1 - 2**-15]),
        (np.array([0, 2**31], np.uint32), [-1, 0]),
        (np.array([-(2**15), 2**14], ">i2"), [-1, 0.5]),
        (array.array("h", [-(2**15), 2**14]), [-1, 0.5]),
        (memoryview(array.array("h", [-(2**15), 2**14])), [-1, 0.5]),
        (np.array([0.25, -1.5], np.float16), [0.25, -1.5]),
        (np.array([0.25, -1.5], ">f8"), [0.25, -1.5]),
        (np.array([0.1], np.longdouble), [0.1]),
        ([0.25, -1.5], [0.25, -1.5]),
        ([[0.25], [0.5]], [[0.25], [0.5]]),
        ((0.25, np.float32(0.5)), [0.25, 0.5]),
        ([], []),
        (torch.tensor([0.25, -1.5]), [0.25, -1.5]),
        (torch.tensor([-(2**15), 2**14], dtype=torch.int16), [-1, 0.5]),
        (torch.tensor([0.25], dtype=torch.float16), [0.25]),
    ],
)
def test_floats_are_taken_as_they_are_and_other_integers_by_their_type(values: Any, expected: list[float]) -> None:
    samples = as_samples(values)
    assert samples.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(samples, expected)


REFUSED: list[tuple[Any, str]] = [
    (None, "is None; expected samples"),
    (np.array([True]), "is bool; expected samples"),
    (np.array([1j], np.complex64), "is complex64; expected samples.*take audio.real"),
    ([0, 1, 2], "is int64; expected .*integers of 8, 16 or 32 bits; give it the type of the recording"),
    (np.zeros(3, np.uint64), "is uint64"),
    (np.array([None, 0.5]), "is an array of type object"),
    ("noisy.wav", "is 'noisy.wav'; .*unhiss.read gives those of a file"),
    (["a"], "is of type list"),
    (b"RIFF", "is of type bytes; .*unhiss.read"),
    (bytearray(4), "is of type bytearray"),
    ({}, "is of type dict"),
    ((value for value in [0.5]), "is of type generator"),
    ([[0.5, 0.5], [0.5]], "is of type list, which numpy cannot read"),
    (torch.zeros(3, requires_grad=True), "is of type Tensor, which numpy cannot read .*detach"),
    (torch.zeros(3, dtype=torch.bfloat16), "is of type Tensor, which numpy cannot read"),
    (np.array([0, np.nan], np.float32), "has NaN, .* the first is nan; repair it"),
    (np.array([0, np.inf], np.float16), "has NaN, .* the first is inf; repair it"),
    (np.array([0, 1e300]), "has NaN, infinite or absurd samples, the first is 1e.300"),
]


@pytest.mark.parametrize(("audio", "line"), REFUSED)
def test_all_else_is_refused_with_its_type_what_is_expected_and_the_next_step(audio: Any, line: str) -> None:
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        with pytest.raises(AudioError, match=line):
            as_samples(audio)


FUNCTIONS: dict[str, Callable[[Any], object]] = {
    "write": lambda audio: unhiss.write(io.BytesIO(), audio, 16000, format="WAV"),
    "denoise": lambda audio: unhiss.denoise(audio, 16000),
    "Stream.push": lambda audio: unhiss.Stream(16000).push(audio),
    "si_sdr": lambda audio: metrics.si_sdr(audio, audio),
    "snr": lambda audio: metrics.snr(audio, audio),
    "pesq": lambda audio: metrics.pesq(audio, audio, 16000),
    "stoi": lambda audio: metrics.stoi(audio, audio, 16000),
    "log_spectral_distance": lambda audio: metrics.log_spectral_distance(audio, audio, 48000),
    "loudness_change_db": lambda audio: metrics.loudness_change_db(audio, audio, 16000),
    "attenuation_db": lambda audio: metrics.attenuation_db(audio, audio),
    "lag": lambda audio: metrics.lag(audio, audio, 16000),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("audio", [None, "noisy.wav", [0, 1, 2], [[0.5, 0.5], [0.5]], np.array([0.5, np.nan])])
def test_every_public_function_refuses_what_are_no_samples(name: str, audio: Any) -> None:
    with pytest.raises(AudioError, match=r"audio|block|the (estimate|reference|noise)"):
        FUNCTIONS[name](audio)


@pytest.mark.parametrize("make", [lambda x: x, list, lambda x: x.astype(np.int16), torch.tensor])
def test_integers_lists_and_tensors_are_denoised_as_the_floats_they_stand_for(
    make: Callable[[np.ndarray], Any], rng: np.random.Generator
) -> None:
    values = rng.integers(-9000, 9000, 4000).astype(np.int16)
    given = values if make is not list else (values / 32768).tolist()
    expected = unhiss.denoise(values / np.float32(32768), 16000)
    np.testing.assert_array_equal(unhiss.denoise(make(given), 16000), expected)
    pushed = unhiss.Stream(16000).push(make(given))
    np.testing.assert_array_equal(pushed, unhiss.Stream(16000).push(values / np.float32(32768)))


def test_metrics_of_integers_are_those_of_the_floats_they_stand_for(rng: np.random.Generator) -> None:
    clean = rng.integers(-9000, 9000, 16000).astype(np.int16)
    noisy = clean + rng.integers(-900, 900, 16000).astype(np.int16)
    floats = [audio / np.float32(32768) for audio in (noisy, clean)]
    assert metrics.snr(noisy, clean) == metrics.snr(*floats)
    assert metrics.si_sdr(noisy, clean) == metrics.si_sdr(*floats)
    assert metrics.lag(noisy, clean, 16000) == 0


def test_half_precision_gives_no_warning() -> None:
    audio = np.linspace(-1, 1, 4000).astype(np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = unhiss.denoise(audio, 16000)
    np.testing.assert_array_equal(out, unhiss.denoise(audio.astype(np.float32), 16000))


def test_the_array_of_a_caller_is_never_written_to(rng: np.random.Generator) -> None:
    for audio in (rng.uniform(-2, 2, 3000), rng.integers(0, 255, 3000).astype(np.uint8)):
        before = audio.copy()
        audio.flags.writeable = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # samples beyond full scale
            for name, function in FUNCTIONS.items():
                if name not in ("stoi", "pesq"):
                    function(audio)
            for mode in ("clip", "rescale"):
                unhiss.write(io.BytesIO(), audio, 16000, format="WAV", clip_mode=mode)
        np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize("audio", [np.zeros((1, 2, 3)), np.float32(0), np.zeros((0, 5))])
def test_channels_have_one_or_two_dimensions(audio: np.ndarray) -> None:
    with pytest.raises(AudioError, match=r"expected \(T,\) or \(C, T\)"):
        as_channels(audio)


@pytest.mark.parametrize("rate", ["16k", 16000.5, None, True, [16000], np.array([16000]), 999, 1e9, 1j, float("nan")])
def test_a_rate_is_a_whole_number_of_hz(rate: Any) -> None:
    with pytest.raises(AudioError, match=r"rate = .*; expected a whole number of Hz"):
        check_rate(rate)


@pytest.mark.parametrize("rate", [16000, 16000.0, np.int32(16000), np.float32(16000)])
def test_a_rate_becomes_an_int(rate: Any) -> None:
    assert check_rate(rate) == 16000 and type(check_rate(rate)) is int
