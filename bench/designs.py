"""Designs of the causal model at equal training time: each trains for some minutes on one core, from nothing.

python bench/designs.py --data DIR [--config CONFIG] [--minutes 10] [--seeds 2] [--at-once 2] [DESIGN ...]

Each design exchanges one part of the network and trains for the same processor time on the same mixtures in the same
order, once a seed, with a learning rate that falls to nearly zero. The first is the shipped one. Losses are those of
the training on the fixed validation mixtures, with averaged weights; no evaluation set is read. Two trainings run at a
time, one thread each.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import machine
import torch
from torch import Tensor, nn
from torch.nn import functional

from unhiss.config import load
from unhiss.data.store import Store
from unhiss.settings import CausalConfig
from unhiss.train import causal, networks
from unhiss.train.device import keep_memory
from unhiss.train.loop import Run
from unhiss.train.running_level import FRAMES, LevelNormalisedNetwork

ROOT = Path(__file__).parent.parent
SETTINGS = ("causal.segment_s=2", "vary.rooms=16")  # short examples: more steps


class MinGRU(nn.Module):
    """A recurrence that could be computed for all frames at once: what it keeps and adds depend on the input alone.

    h(t) = (1 - z(t)) h(t-1) + z(t) c(t), with z and c from the last four frames (Feng et al. 2024, arXiv 2410.01201).
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.recent = nn.Parameter(torch.randn(4, inputs) * 0.3)
        self.gate_and_candidate = nn.Linear(inputs, 2 * units)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """`(T, N, inputs)` -> `(T, N, units)`, from a state of zeros; the state is passed on as it came."""
        padded = functional.pad(x, (0, 0, 0, 0, len(self.recent) - 1, 0))
        recent = x + sum(padded[age : age + len(x)] * weight for age, weight in enumerate(self.recent))
        gate, candidate = self.gate_and_candidate(recent).float().chunk(2, -1)
        return recurrence(torch.sigmoid(-gate), torch.sigmoid(gate) * candidate), state


def recurrence(keep: Tensor, add: Tensor) -> Tensor:
    """h(t) = keep(t) h(t-1) + add(t) from h = 0, over the first axis.

    Frame by frame: on a processor that takes a third of the time of the products in log2(T) steps.
    """
    h, outputs = torch.zeros_like(add[0]), []
    for kept, added in zip(keep.unbind(), add.unbind(), strict=True):
        h = torch.addcmul(added, kept, h)
        outputs.append(h)
    return torch.stack(outputs)


class MinGRUBlock(causal.TimeBandBlock):
    """MinGRU of twice the units in place of the LSTM of each band: two thirds of its products."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__(channels, bands)
        self.lstm = MinGRU(channels, 2 * channels)  # type: ignore[assignment]
        self.lstm_out = nn.Linear(2 * channels, channels, bias=False)


class KeptGains(causal.HighBands):
    """Also keeps the gains of the last call."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Sequence[Tensor]]:  # type: ignore[override]
        self.kept, state = super().forward(*inputs)  # type: ignore[arg-type]
        return self.kept, state


class LookAhead(LevelNormalisedNetwork):
    """Sees one frame more before it denoises one: 48 ms in place of 32. The first layer takes that and this frame."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__(config)
        factors = self.product_inputs.unflatten(1, (causal.GROUP_BINS, causal.INPUT_FRAMES, 2))
        self.product_inputs = factors.flip(2).flatten(1, 3)  # the mask is for the earlier of the two frames

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, ...]:
        state = self.initial_state(len(spectrum)) if state is None else state
        inner, earlier = torch.split(state, [self.state_size - FRAMES + 1, FRAMES - 1], 1)
        scale, _ = self.scale(spectrum, earlier)
        this = spectrum / scale
        first = causal.compress(this[:, 0, : causal.LOW]).flatten(1)
        coming = functional.pad(this[:, 1:], (0, 0, 0, 0, 0, 1))
        out, _ = causal.CausalNetwork.forward(self, coming, torch.cat([first, inner[:, first.shape[1] :]], 1))
        low, high = out[:, :, : causal.LOW], this[:, :, causal.LOW :]
        gains = self.high_bands.kept[:, :, : high.shape[2]]
        gains = torch.cat([gains, gains[:, :, -1:].expand(-1, -1, high.shape[2] - gains.shape[2], -1)], 2)
        return torch.cat([low, high * gains], 2) * scale, state


# What each exchanges: the module that holds a part, the part's name, and what takes its place.
DESIGNS: dict[str, tuple[str, list[tuple[object, str, type]]]] = {
    "LSTM": ("an LSTM over time for each band, and one over all bands: the shipped one", []),
    "minGRU": ("minGRU, which could be parallel in time, for each band", [(causal, "TimeBandBlock", MinGRUBlock)]),
    "look-ahead": (
        "the first, with one frame of look-ahead: 48 ms",
        [(networks, "LevelNormalisedNetwork", LookAhead), (causal, "HighBands", KeptGains)],
    ),
}


def train(name: str, config: Path, data: Path, seconds: float, seed: int) -> dict[str, float]:
    """One design for `seconds` of processor time."""
    torch.set_num_threads(1)
    keep_memory()
    torch.set_flush_denormal(True)  # as unhiss train
    for module, part, new in DESIGNS[name][1]:
        setattr(module, part, new)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(data)
        experiment = load(config, (*SETTINGS, f"train.seed={seed}", f"causal.sample_rate={store.rate}"))
        run = Run(experiment, store, Path(folder), torch.device("cpu"))
        set_time = schedule(run, seconds)
        batches = run.batches.epoch(0)
        started = time.process_time()
        while (time.process_time() - started) < seconds:
            step = next(batches, None)
            if step is None:
                batches = run.batches.epoch(run.step)
                continue
            set_time(time.process_time() - started)
            run.train_step(*step)
        row = run.validate()
    parameters = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    audio_s = run.step * run.experiment.train.batch_size * run.experiment.causal.segment_s
    return {"parameters": parameters, "steps": run.step, "audio_s_per_s": audio_s / seconds, **row}  # type: ignore[dict-item]


def together(name: str, runs: list[dict[str, float]]) -> dict[str, object]:
    """The runs of one design, by its seeds: means, and the losses of each."""
    means = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
    return {"what": DESIGNS[name][0], **means, "valid_losses": [run["valid_loss"] for run in runs]}


def schedule(run: Run, seconds: float) -> Callable[[float], None]:
    """Learning rate: half a cosine over the time limit, so that every design ends with small steps."""
    peak, elapsed = run.experiment.train.lr, [0.0]
    run.lr = lambda: peak * min(1, (run.step + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * elapsed[0] / seconds)))  # type: ignore[method-assign]
    return lambda now: elapsed.__setitem__(0, now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"of {', '.join(DESIGNS)}; all if not given")
    parser.add_argument("--data", type=Path, help="made by unhiss prepare, as docs/training.md says")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "small-long.toml")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("DESIGN", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.data:
        print("skipped: needs a data set at 16 to 48 kHz; give its folder with --data")
        return
    if options.one:
        name, seed = options.one
        print(json.dumps(train(name, options.config, options.data, options.minutes * 60, int(seed))))
        return
    described = machine.describe("unhiss", "torch")
    names = options.designs or list(DESIGNS)
    words = [__file__, "--data", str(options.data), "--config", str(options.config), "--minutes", str(options.minutes)]
    seeds = [str(seed) for seed in range(options.seeds)]
    found = run_all([(name, seed) for seed in seeds for name in names], words, options.at_once)
    results = {name: together(name, [found[name, seed] for seed in seeds]) for name in names}
    head = ["design", "k parameters", "audio s/s", "steps", "loss", "of the seeds", "SNR dB"]
    rows = [
        [name, f"{one['parameters'] / 1000:.0f}", f"{one['audio_s_per_s']:.0f}", f"{one['steps']:.0f}",
         f"{one['valid_loss']:.5f}", ", ".join(f"{loss:.5f}" for loss in one["valid_losses"]),
         f"{one['valid_snr_db']:.2f}"]
        for name, one in results.items()
    ]  # fmt: skip
    print(machine.table(head, rows))
    settings = {"minutes": options.minutes, "seeds": options.seeds, "config": options.config.name}
    machine.save("designs", described, {**settings, "designs": results})


def run_all(pending: list[tuple[str, ...]], words: list[str], at_once: int) -> dict[tuple[str, ...], dict[str, float]]:
    """The last line that `words --one KEY...` prints, as JSON, for each key: `at_once` processes at a time."""
    running: dict[tuple[str, ...], subprocess.Popen[str]] = {}
    results: dict[tuple[str, ...], dict[str, float]] = {}
    while pending or running:
        while pending and len(running) < at_once:
            key = pending.pop(0)
            running[key] = subprocess.Popen([sys.executable, *words, "--one", *key], stdout=subprocess.PIPE, text=True)
        for key, process in list(running.items()):
            if process.poll() is not None:
                results[key] = json.loads(running.pop(key).communicate()[0].splitlines()[-1])
                print(*key, results[key], file=sys.stderr)
        time.sleep(1)
    return results


if __name__ == "__main__":
    main()
