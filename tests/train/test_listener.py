"""The listener of training gives the marks that DNSMOS P.808 gives, and they can be followed uphill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unhiss.dsp.resampling import resample
from unhiss.media.audio import read
from unhiss.score import dnsmos
from unhiss.settings import TrainConfig
from unhiss.train import grid, losses
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.listener import Listener

EXAMPLES = Path(__file__).parents[2] / "examples"
WINDOW = int(dnsmos.WINDOW_S * dnsmos.RATE)


def sound(name: str) -> np.ndarray:
    audio, rate = read(EXAMPLES / name)
    return resample(np.atleast_2d(audio)[0], rate, dnsmos.RATE)


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener()


@pytest.mark.parametrize("name", ["clean.wav", "noisy.wav"])
@pytest.mark.parametrize("level_db", [0, -30])
def test_marks_are_those_of_dnsmos(listener: Listener, name: str, level_db: int) -> None:
    window = np.resize(sound(name), WINDOW) * np.float32(10 ** (level_db / 20))
    found = listener(torch.from_numpy(window[None, : -dnsmos.MEL_HOP])).item()
    assert found == pytest.approx(dnsmos.p808(window, dnsmos.RATE), abs=1e-3)


def test_sounds_of_a_batch_are_marked_apart(listener: Listener) -> None:
    both = torch.stack([torch.from_numpy(sound(name)[:64000]) for name in ("clean.wav", "noisy.wav")])
    clean, noisy = listener(both).tolist()
    assert [listener(one[None]).item() for one in both] == pytest.approx([clean, noisy], abs=1e-3)
    assert clean > noisy + 0.3


def test_steps_uphill_raise_the_mark_and_leave_the_listener_as_it_is(listener: Listener) -> None:
    before = {name: value.clone() for name, value in listener.state_dict().items()}
    noisy = torch.from_numpy(sound("noisy.wav")[None, :48000]).requires_grad_()
    marks = []
    for _ in range(5):
        mark = listener(noisy)
        marks.append(mark.item())
        (slope,) = torch.autograd.grad(mark.sum(), noisy)
        noisy = (noisy + 2e-3 * slope.sign() * noisy.abs()).detach().requires_grad_()
    assert marks[-1] > marks[0]
    assert all(torch.equal(value, before[name]) for name, value in listener.state_dict().items())


def test_the_loss_takes_what_lacks_to_the_clean_recording_where_there_is_speech(listener: Listener) -> None:
    speech = torch.from_numpy(np.stack([sound("clean.wav")[:32000], np.zeros(32000, np.float32)]))
    clean = grid.analyse(speech, dnsmos.RATE)
    hiss = torch.randn(2, 32000, generator=torch.Generator().manual_seed(0))
    noisy = clean + grid.analyse(0.05 * hiss, dnsmos.RATE)

    def added(estimate: torch.Tensor, wanted: torch.Tensor) -> float:
        batch = CausalBatch(noisy, wanted, torch.ones(2, 1, 1, 1), torch.ones(2, 1, clean.shape[2], 1))
        plain, told = (losses.causal(estimate, batch, config) for config in (None, TrainConfig(dnsmos_weight=0.1)))
        return (told - plain).item()

    best, worse = (listener(losses.low_sound(spectrum)[:1]).item() for spectrum in (clean, noisy))
    assert best > worse + 0.2
    assert added(noisy, clean) == pytest.approx(0.1 * (best - worse) / 2, rel=1e-3)  # one of two examples holds speech
    assert added(clean, noisy) == pytest.approx(0, abs=1e-6)  # better than the recording is not better


def test_it_has_finite_slopes_at_silence(listener: Listener) -> None:
    silence = torch.zeros(1, 16000, requires_grad=True)
    (slope,) = torch.autograd.grad(listener(silence).sum(), silence)
    assert torch.isfinite(slope).all()
