"""The DNSMOS P.808 network of training gives the scores of speechmos, and its gradients improve them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unhiss.dsp.resampling import resample
from unhiss.media.source import read
from unhiss.score import dnsmos
from unhiss.settings import TrainConfig
from unhiss.train import losses, stft
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.dnsmos import DnsmosP808

EXAMPLES = Path(__file__).parents[2] / "examples"
WINDOW = int(dnsmos.WINDOW_S * dnsmos.RATE)


def sound(name: str) -> np.ndarray:
    audio, rate = read(EXAMPLES / name)
    return resample(np.atleast_2d(audio)[0], rate, dnsmos.RATE)


@pytest.fixture(scope="module")
def dnsmos_p808() -> DnsmosP808:
    return DnsmosP808()


@pytest.mark.parametrize("name", ["clean.wav", "noisy.wav"])
@pytest.mark.parametrize("level_db", [0, -30])
def test_scores_are_those_of_dnsmos(dnsmos_p808: DnsmosP808, name: str, level_db: int) -> None:
    window = np.resize(sound(name), WINDOW) * np.float32(10 ** (level_db / 20))
    score = dnsmos_p808(torch.from_numpy(window[None, : -dnsmos.MEL_HOP])).item()
    assert score == pytest.approx(dnsmos.p808(window, dnsmos.RATE), abs=1e-3)


def test_each_sound_of_a_batch_is_scored_alone(dnsmos_p808: DnsmosP808) -> None:
    both = torch.stack([torch.from_numpy(sound(name)[:64000]) for name in ("clean.wav", "noisy.wav")])
    clean, noisy = dnsmos_p808(both).tolist()
    assert [dnsmos_p808(one[None]).item() for one in both] == pytest.approx([clean, noisy], abs=1e-3)
    assert clean > noisy + 0.3


def test_steps_along_the_gradient_raise_the_score_and_leave_the_weights_unchanged(dnsmos_p808: DnsmosP808) -> None:
    before = {name: value.clone() for name, value in dnsmos_p808.state_dict().items()}
    noisy = torch.from_numpy(sound("noisy.wav")[None, :48000]).requires_grad_()
    scores = []
    for _ in range(5):
        score = dnsmos_p808(noisy)
        scores.append(score.item())
        (gradient,) = torch.autograd.grad(score.sum(), noisy)
        noisy = (noisy + 2e-3 * gradient.sign() * noisy.abs()).detach().requires_grad_()
    assert scores[-1] > scores[0]
    assert all(torch.equal(value, before[name]) for name, value in dnsmos_p808.state_dict().items())


def test_the_penalty_is_the_score_below_that_of_the_clean_recording_where_there_is_speech(
    dnsmos_p808: DnsmosP808,
) -> None:
    speech = torch.from_numpy(np.stack([sound("clean.wav")[:32000], np.zeros(32000, np.float32)]))
    clean = stft.analyse(speech, dnsmos.RATE)
    hiss = torch.randn(2, 32000, generator=torch.Generator().manual_seed(0))
    noisy = clean + stft.analyse(0.05 * hiss, dnsmos.RATE)

    def added(estimate: torch.Tensor, target: torch.Tensor) -> float:
        batch = CausalBatch(noisy, target, torch.ones(2, 1, 1, 1), torch.ones(2, 1, clean.shape[2], 1))
        configs = TrainConfig(), TrainConfig(dnsmos_weight=0.1)
        plain, penalised = (losses.causal_loss(estimate, batch, config) for config in configs)
        return (penalised - plain).item()

    best, worse = (dnsmos_p808(losses.low_band_audio(spectrum)[:1]).item() for spectrum in (clean, noisy))
    assert best > worse + 0.2
    assert added(noisy, clean) == pytest.approx(0.1 * (best - worse) / 2, rel=1e-3)  # one of two examples holds speech
    assert added(clean, noisy) == pytest.approx(0, abs=1e-6)  # a higher score than the recording's brings nothing


def test_its_gradient_is_finite_in_silence(dnsmos_p808: DnsmosP808) -> None:
    silence = torch.zeros(1, 16000, requires_grad=True)
    (gradient,) = torch.autograd.grad(dnsmos_p808(silence).sum(), silence)
    assert torch.isfinite(gradient).all()
