"""The causal network: calls of any length, any rate, and what an untrained one does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from unhiss.settings import CausalConfig
from unhiss.train import stft
from unhiss.train.causal import CausalNetwork, band_map, compress, expand
from unhiss.train.onnx_graph import macs

CONFIG = CausalConfig(width=8, channels=6, bands=10, blocks=2, bottleneck=12)
BINS = {8000: 129, 16000: 257, 24000: 385, 32000: 513, 48000: 769, 96000: 1537}
ROUND_OFF = 1e-5  # the same sums in another order


@pytest.fixture(scope="module")
def model() -> CausalNetwork:
    torch.manual_seed(1)
    model = CausalNetwork(CONFIG).eval()
    nn.init.normal_(model.mask.weight, std=0.2)
    return model


def spectrum(bins: int, frames: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, frames, bins, 2, generator=torch.Generator().manual_seed(bins)) * 0.3


def test_the_default_size_is_within_its_budget() -> None:
    small = CausalNetwork(CausalConfig())
    assert sum(p.numel() for p in small.parameters()) <= 400_000
    frame = (torch.zeros(1, 1, 257, 2), small.initial_state(1))
    assert 200e6 < macs(small, frame) / stft.HOP_S < 260e6


def test_multiply_adds_are_those_counted_by_hand(model: CausalNetwork) -> None:
    convolutions = 64 * (3 * (16 * 8 + 4 * 8 * 8) + 2 * 8 * 6 + 8 * 16 + 16 * 16 + 16 * 8)
    over_bands = 10 * 2 * (4 * 6 * (6 + 6) + 6 * 6 + 6 * 6 + 6 * 10)
    maps = 2 * 6 * 64 * 10
    bottleneck = 2 * 60 * 12 + 4 * 12 * 24
    high = 12 * 16 + 4 * 48 * (32 + 48) + 48 * 16 + 16 * 1024
    frame = (torch.zeros(1, 1, 257, 2), model.initial_state(1))
    assert macs(model, frame) == convolutions + over_bands + maps + bottleneck + high


@pytest.mark.parametrize("bins", BINS.values())
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 11), max_size=4))
def test_results_do_not_depend_on_the_length_of_calls(model: CausalNetwork, bins: int, cuts: list[int]) -> None:
    whole = spectrum(bins, 11)
    ends = [0, *sorted(cuts), 11]
    with torch.no_grad():
        expected, last = model(whole, model.initial_state(2))
        state, parts = model.initial_state(2), []
        for begin, end in pairwise(ends):
            if end > begin:
                part, state = model(whole[:, begin:end], state)
                parts.append(part)
    assert (torch.cat(parts, 1) - expected).abs().max() < ROUND_OFF
    assert (state - last).abs().max() < ROUND_OFF


def test_no_frame_depends_on_a_later_one(model: CausalNetwork) -> None:
    one, two = spectrum(769, 9), spectrum(769, 9)
    two[:, 5:] += 1
    with torch.no_grad():
        first, second = (model(x, model.initial_state(2))[0] for x in (one, two))
    assert torch.equal(first[:, :5], second[:, :5])
    assert not torch.allclose(first[:, 5], second[:, 5])


def test_signals_of_a_batch_are_independent(model: CausalNetwork) -> None:
    both = spectrum(257, 6)
    with torch.no_grad():
        together, _ = model(both, model.initial_state(2))
        alone, _ = model(both[1:], model.initial_state(1))
    assert (together[1:] - alone).abs().max() < ROUND_OFF


def test_an_untrained_network_passes_the_low_band() -> None:
    noisy = spectrum(257, 4)
    network = CausalNetwork(CONFIG).eval()
    with torch.no_grad():
        out, _ = network(noisy, network.initial_state(2))
    assert (out[:, :, :256] - noisy[:, :, :256]).abs().max() < ROUND_OFF


def test_silence_stays_silent(model: CausalNetwork) -> None:
    with torch.no_grad():
        out, _ = model(torch.zeros(1, 20, 769, 2), model.initial_state(1))
    assert out.abs().max() < 1e-6


def test_above_24_khz_the_gain_of_the_last_band_applies(model: CausalNetwork) -> None:
    noisy = spectrum(1537, 3)
    with torch.no_grad():
        out, _ = model(noisy, model.initial_state(2))
    gain = out[:, :, 767] / noisy[:, :, 767]
    assert torch.allclose(out[:, :, 768:], noisy[:, :, 768:] * gain[:, :, None], atol=1e-5)


def test_the_mask_is_a_complex_product() -> None:
    model = CausalNetwork(CONFIG).eval()
    with torch.no_grad():
        model.mask.bias.copy_(torch.tensor([0.5, -1.0, 2.0, 0.25] * 2))  # type: ignore[union-attr]
        noisy = spectrum(257, 5)
        out, _ = model(noisy, model.initial_state(2))
    x = torch.view_as_complex(noisy[:, :, :256].contiguous()).numpy()
    small = x * np.abs(x) ** -0.75
    masked = np.tile([0.5 - 1j, 2 + 0.25j], 128) * small
    expected = masked * np.abs(masked) ** 3
    assert np.allclose(torch.view_as_complex(out[:, :, :256].contiguous()).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_bands_weigh_every_group_of_bins_and_each_sums_to_one() -> None:
    for bands in (10, 20, 28, 64):
        weights = band_map(bands)
        assert weights.shape == (64, bands)
        assert torch.allclose(weights.sum(0), torch.ones(bands))
        assert (weights.sum(1) > 0).all() and (weights >= 0).all()


def test_expansion_undoes_compression() -> None:
    x = np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32)
    small = compress(torch.from_numpy(x))
    assert np.allclose(small.numpy(), x * np.sum(x * x, -1, keepdims=True) ** -0.375, rtol=1e-5)
    assert np.allclose(expand(small).numpy(), x, rtol=1e-4)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 32000, 48000, 96000])
def test_spectra_match_numpy_and_are_inverted(rate: int) -> None:
    size, hop = rate * 32 // 1000, rate * 16 // 1000
    audio = np.random.default_rng(rate).standard_normal((2, 9 * hop)).astype(np.float32)
    spectra = stft.analyse(torch.from_numpy(audio), rate)
    assert spectra.shape == (2, 10, BINS[rate], 2)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))
    expected = np.fft.rfft(audio[:, 3 * hop : 3 * hop + size] * window) * 512 / size
    assert np.allclose(torch.view_as_complex(spectra[:, 4]).numpy(), expected, atol=1e-4)
    assert np.allclose(stft.synthesise(spectra, rate).numpy(), audio, atol=1e-5)


def test_a_tone_has_the_same_level_at_every_rate() -> None:
    peaks = [
        stft.analyse(torch.sin(2 * torch.pi * 1000 * torch.arange(rate) / rate)[None], rate)[0, 30].norm(dim=-1).max()
        for rate in (8000, 16000, 48000, 96000)
    ]
    assert np.allclose(peaks, peaks[0], rtol=1e-3)
