"""Critics that learn to tell cleaned speech from clean."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_sets import ROOT, TINY, make_store

from unhiss.config import load
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.train import checkpoint
from unhiss.train.adversary import Adversary, joined
from unhiss.train.ahead import ahead
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.grid import analyse
from unhiss.train.loop import Run, train

CPU = torch.device("cpu")


def sounds(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise that hisses, and the same with a hole in its band."""
    clean = torch.randn(2, 8192, generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.rfft(clean)
    spectrum[:, 2000:3000] = 0
    return torch.fft.irfft(spectrum), clean


def test_critics_learn_to_tell_two_sounds_apart() -> None:
    torch.manual_seed(0)
    critics = Adversary()
    optimiser = torch.optim.Adam(critics.parameters(), lr=2e-3)
    for step in range(40):
        optimiser.zero_grad()
        critics.lesson(*sounds(step)).backward()
        optimiser.step()
    cleaned, clean = sounds(99)  # never seen
    for critic in critics.critics:
        assert critic(clean)[-1].mean() > critic(cleaned)[-1].mean() + 0.1
    assert critics.pull(cleaned, clean) > 2 * critics.pull(clean, clean)


@pytest.mark.parametrize("share", [0.0, 0.5, 3.0])
def test_the_pull_is_as_long_as_it_was_asked_to_be(share: float) -> None:
    cleaned, clean = (analyse(sound, 16000) for sound in sounds())
    one = torch.ones(2, 1, 1, 1)
    batch = CausalBatch(noisy=cleaned, clean=clean, loudness=one, heard=torch.ones(2, 1, 257, 1))
    estimate = cleaned.clone().requires_grad_()
    loss = (estimate - clean).square().mean()
    (own,) = torch.autograd.grad(loss, estimate, retain_graph=True)
    critics = Adversary()
    found = joined(loss, critics.pull(*critics.heard(estimate, batch)), estimate, share)
    assert float((found - own).norm()) == pytest.approx(share * own.norm().item(), rel=1e-4, abs=1e-9)


def new_run(folder: Path) -> Run:
    """With critics, on a set beside it."""
    store = folder.parent / "set"
    if not store.exists():
        make_store(store, 48000)
    folder.mkdir(exist_ok=True)
    wanted = load(
        ROOT / "configs/nano.toml", [*TINY, "train.micro_batches=1", "train.adversarial_weight=0.5", "augment.reverb=0"]
    )
    return Run(wanted, Store(store), folder, CPU)


def test_critics_learn_once_of_each_batch(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.advance(*next(run.batches.epoch(0)))
    assert {state["step"].item() for state in run.critics.state_dict()["state"].values()} == {1}


def test_a_run_with_critics_is_resumed_where_it_stood(tmp_path: Path) -> None:
    whole, cut = new_run(tmp_path / "whole"), new_run(tmp_path / "cut")
    train(whole)
    cut.save("last")
    steps = iter(cut.batches.epoch(0))
    for _ in range(3):
        cut.advance(*next(steps))
    cut.finish_epoch()
    cut.save("last")
    again = new_run(tmp_path / "cut")
    again.resume()
    train(again)
    tensors = [checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("whole", "cut")]
    assert tensors[0].keys() == tensors[1].keys() and any(name.startswith("critics.") for name in tensors[0])
    for name, value in tensors[0].items():
        assert torch.equal(value, tensors[1][name]), name


def test_critics_go_on_from_those_of_a_checkpoint(tmp_path: Path) -> None:
    one, two = new_run(tmp_path / "one"), new_run(tmp_path / "two")
    assert one.adversary and two.adversary
    with torch.no_grad():
        for value in one.adversary.parameters():
            value += 0.1
    one.save("last")
    checkpoint.load_weights(two.model, two.average, tmp_path / "one/last.safetensors", "causal", two.adversary)
    found = two.adversary.state_dict()
    for name, value in one.adversary.state_dict().items():
        assert torch.equal(value, found[name]), name


@pytest.mark.parametrize("name", ["adversarial_weight", "pesq_weight", "stoi_weight", "sdr_weight", "dnsmos_weight"])
def test_frame_models_have_no_critics_and_nobody_who_listens(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"train.{name} = 0.5 .* causal models"):
        load(ROOT / "configs/unet.toml", [f"train.{name}=0.5"])


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_what_is_made_ahead_comes_in_order_and_its_errors_too(threads: int) -> None:
    assert list(ahead(lambda n: n * n, range(7), threads)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(ahead(lambda n: n, [], threads)) == []
    found = ahead(lambda n: 1 // (3 - n), range(9), threads)
    assert [next(found) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
