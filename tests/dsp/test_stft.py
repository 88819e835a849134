"""The STFT against librosa and scipy, and back again."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal

from unhiss.dsp.stft import analyse, istft, overlap, stft, synthesise, window

SIZES = [1, 255, 256, 257, 8064, 8193]
PAIRS = [(255, 63), (512, 128), (512, 256), (64, 13)]
ROUND_OFF = 2e-6  # float32, relative to the largest value


@pytest.mark.parametrize(("n_fft", "hop"), PAIRS)
@pytest.mark.parametrize("size", SIZES)
def test_stft_equals_librosa(size: int, n_fft: int, hop: int, rng: np.random.Generator) -> None:
    audio = rng.standard_normal(size).astype(np.float32)
    # Padded by hand, since librosa centres nothing shorter than a window without a warning.
    expected = librosa.stft(np.pad(audio, n_fft // 2), n_fft=n_fft, hop_length=hop, center=False)
    found = stft(audio, n_fft, hop)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=ROUND_OFF * np.abs(expected).max())


def test_stft_equals_librosa_with_its_own_padding(rng: np.random.Generator) -> None:
    audio = rng.standard_normal(8193).astype(np.float32)
    expected = librosa.stft(audio, n_fft=255, hop_length=63)
    np.testing.assert_allclose(stft(audio, 255, 63), expected, atol=ROUND_OFF * np.abs(expected).max())


def test_analyse_equals_scipy(rng: np.random.Generator) -> None:
    audio = rng.standard_normal((2, 8193)).astype(np.float32)
    scaled = scipy.signal.ShortTimeFFT(scipy.signal.get_window("hann", 255), 63, fs=1)
    expected = scaled.stft(audio, p0=0, p1=None)
    found = analyse(np.pad(audio, ((0, 0), (127, 600))), 255, 63)[..., : expected.shape[-1]]
    # scipy counts phase from the window's middle, numpy's rfft from its first sample.
    turn = np.exp(2j * np.pi * np.arange(128) * (255 // 2) / 255)[:, None]
    np.testing.assert_allclose(found * turn, expected, atol=1e-4)


@pytest.mark.parametrize(("n_fft", "hop"), PAIRS)
@pytest.mark.parametrize("size", SIZES)
def test_istft_inverts_stft(size: int, n_fft: int, hop: int, rng: np.random.Generator) -> None:
    audio = rng.uniform(-1, 1, (2, size)).astype(np.float32)
    spectrum = stft(audio, n_fft, hop)
    found = istft(spectrum, n_fft, hop, size)
    assert found.shape == audio.shape
    assert found.dtype == np.float32
    reach = overlap(spectrum.shape[-1], n_fft, hop)[n_fft // 2 :][:size]
    covered = np.flatnonzero(reach > 0.1)  # where windows fade out, the division makes round-off large
    assert covered.size >= size - n_fft // 2
    np.testing.assert_allclose(found[:, covered], audio[:, covered], atol=5e-6)


def test_istft_equals_librosa(rng: np.random.Generator) -> None:
    spectrum = stft(rng.standard_normal(8064).astype(np.float32), 255, 63)
    spectrum = spectrum * rng.uniform(0, 1, spectrum.shape).astype(np.float32)
    expected = librosa.istft(spectrum, n_fft=255, hop_length=63, length=8064)
    np.testing.assert_allclose(istft(spectrum, 255, 63, 8064), expected, atol=5e-6)


@pytest.mark.parametrize("size", [0, 1, 254])
def test_too_short_for_one_window_gives_no_column(size: int) -> None:
    assert analyse(np.zeros((3, size), np.float32), 255, 63).shape == (3, 128, 0)


def test_parts_of_an_overlap_add_sum_to_the_whole(rng: np.random.Generator) -> None:
    spectrum = stft(rng.standard_normal(4000).astype(np.float32), 255, 63)
    whole = synthesise(spectrum, 255, 63)
    parts = np.zeros_like(whole)
    for start in range(0, spectrum.shape[-1], 10):
        piece = synthesise(spectrum[:, start : start + 10], 255, 63)
        parts[start * 63 : start * 63 + piece.size] += piece
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_window_is_scipys_periodic_hann() -> None:
    for size in (1, 255, 256):
        expected = scipy.signal.get_window("hann", size) if size > 1 else [0.0]
        np.testing.assert_allclose(window(size), expected, atol=1e-7)


def test_overlap_is_the_sum_librosa_divides_by() -> None:
    expected = librosa.filters.window_sumsquare(window="hann", n_frames=20, n_fft=255, hop_length=63)
    np.testing.assert_allclose(overlap(20, 255, 63), expected, atol=1e-6)
