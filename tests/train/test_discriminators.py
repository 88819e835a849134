"""Discriminators learn to tell denoised speech from clean, and their gradient has the weight of the config."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_sets import ROOT, TINY, TINY_CAUSAL, train_to_end

from unhiss.config import load
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.train import checkpoint
from unhiss.train.batches import prefetch
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.discriminators import Discriminator, balanced_gradient
from unhiss.train.loop import Run
from unhiss.train.stft import analyse

CPU = torch.device("cpu")
LEARNED = 0.02  # difference of mean scores; it reaches 0.04 to 0.5, which varies with the order of sums


def sounds(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """White noise with a gap in its band, and without."""
    clean = torch.randn(2, 4096, generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.rfft(clean)
    spectrum[:, 1000:1500] = 0
    return torch.fft.irfft(spectrum), clean


def test_discriminators_learn_to_tell_two_sounds_apart() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator()
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=4e-3)
    for step in range(30):
        optimiser.zero_grad()
        discriminator.discriminator_loss(*sounds(step)).backward()
        optimiser.step()
    denoised, clean = sounds(99)  # not trained on
    for network in discriminator.resolutions:
        assert network(clean)[-1].mean() > network(denoised)[-1].mean() + LEARNED
    assert discriminator.generator_loss(denoised, clean) > 2 * discriminator.generator_loss(clean, clean)


def test_a_gain_for_every_frame_as_scenes_have_it_gives_the_segments_of_one_gain() -> None:
    noisy, clean = (analyse(sound, 16000) for sound in sounds())
    segments = []
    for frames in (1, noisy.shape[1]):
        batch = CausalBatch(noisy, clean, torch.full((2, frames, 1, 1), 3.0), torch.ones(2, 1, 257, 1))
        torch.manual_seed(0)
        segments.append(Discriminator().segments(noisy, batch))
    for one_gain, gain_of_frames in zip(*segments, strict=True):
        torch.testing.assert_close(gain_of_frames, one_gain)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_the_adversarial_gradient_has_the_norm_of_its_weight(weight: float) -> None:
    noisy, clean = (analyse(sound, 16000) for sound in sounds())
    one = torch.ones(2, 1, 1, 1)
    batch = CausalBatch(noisy=noisy, clean=clean, gain=one, valid_bins=torch.ones(2, 1, 257, 1))
    estimate = noisy.clone().requires_grad_()
    loss = (estimate - clean).square().mean()
    (gradient,) = torch.autograd.grad(loss, estimate, retain_graph=True)
    discriminator = Discriminator()
    generator_loss = discriminator.generator_loss(*discriminator.segments(estimate, batch))
    balanced = balanced_gradient(loss, generator_loss, estimate, weight)
    assert float((balanced - gradient).norm()) == pytest.approx(weight * gradient.norm().item(), rel=1e-4, abs=1e-9)


def new_run(store: Store, folder: Path) -> Run:
    """A run with discriminators."""
    folder.mkdir(exist_ok=True)
    overrides = (*TINY, *TINY_CAUSAL, "train.micro_batches=1", "train.adversarial_weight=0.5")
    return Run(load(ROOT / "configs/nano.toml", overrides), store, folder, CPU)


def test_discriminators_take_one_step_on_each_batch(wide: Store, tmp_path: Path) -> None:
    run = new_run(wide, tmp_path / "run")
    run.train_step(*next(run.batches.epoch(0)))
    assert {state["step"].item() for state in run.discriminator_optimiser.state_dict()["state"].values()} == {1}


def test_a_run_with_discriminators_is_resumed_where_it_stopped(wide: Store, tmp_path: Path) -> None:
    whole, cut = new_run(wide, tmp_path / "whole"), new_run(wide, tmp_path / "cut")
    train_to_end(whole)
    cut.save("last")
    steps = iter(cut.batches.epoch(0))
    for _ in range(3):
        cut.train_step(*next(steps))
    cut.finish_epoch()
    cut.save("last")
    resumed = new_run(wide, tmp_path / "cut")
    resumed.resume()
    train_to_end(resumed)
    tensors = [checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("whole", "cut")]
    assert tensors[0].keys() == tensors[1].keys() and any(name.startswith("discriminator.") for name in tensors[0])
    for name, value in tensors[0].items():
        assert torch.equal(value, tensors[1][name]), name


def test_discriminators_start_from_those_of_a_checkpoint(wide: Store, tmp_path: Path) -> None:
    one, two = new_run(wide, tmp_path / "one"), new_run(wide, tmp_path / "two")
    assert one.discriminator and two.discriminator
    with torch.no_grad():
        for value in one.discriminator.parameters():
            value.add_(0.1)
    one.save("last")
    checkpoint.load_weights(two.model, two.ema_model, tmp_path / "one/last.safetensors", "causal", two.discriminator)
    loaded = two.discriminator.state_dict()
    for name, value in one.discriminator.state_dict().items():
        assert torch.equal(value, loaded[name]), name


WEIGHTS = [
    *("adversarial_weight", "pesq_weight", "stoi_weight", "mel_weight", "sdr_weight", "si_sdr_weight"),
    *("dnsmos_weight", "erb_weighting"),
]


@pytest.mark.parametrize("name", WEIGHTS)
def test_frame_models_have_no_discriminators_and_no_perceptual_losses(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"train.{name} = 0.5 .* causal models"):
        load(ROOT / "configs/unet.toml", (f"train.{name}=0.5",))


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_prefetched_items_come_in_order_and_their_errors_too(threads: int) -> None:
    assert list(prefetch(lambda n: n * n, range(7), threads)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(prefetch(lambda n: n, [], threads)) == []
    items = prefetch(lambda n: 1 // (3 - n), range(9), threads)
    assert [next(items) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(items)
