"""Architectures of the causal model at equal training time: each trains for some minutes on one core.

python bench/designs.py [configs/small.toml] --data DIR [--minutes 8] [--at-once 2] [DESIGN ...]

Each design exchanges one part of the network and trains for the same processor time on the same
mixtures in the same order. "one tap" is the shipped design. Losses are the training loss on the
fixed validation mixtures, with averaged weights; no evaluation set is read. Two designs train at a
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
from collections.abc import Callable
from pathlib import Path

import machine
import torch
from torch import Tensor, nn
from torch.nn import functional

from unhiss.config import load
from unhiss.data.store import Store
from unhiss.settings import CausalConfig
from unhiss.train import causal
from unhiss.train.device import keep_memory
from unhiss.train.loop import Run

ROOT = Path(__file__).parent.parent


class Attention(causal.TimeBandBlock):
    """Attention over bands with four heads, in place of one fixed matrix."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__(channels, bands)
        self.band_mixing = nn.Parameter(torch.zeros(0))
        self.query_key_value = nn.Linear(channels, 3 * channels, bias=False)
        self.position = nn.Parameter(torch.randn(bands, channels) * 0.1)

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        y, next_state = self.lstm(causal.reshape(x, 0, -1, self.channels), state)
        x = x + causal.reshape(self.lstm_out(y), 0, -1, self.bands, self.channels)
        heads = self.query_key_value(x + self.position).unflatten(-1, (3, 4, -1)).permute(3, 0, 1, 4, 2, 5)
        mixed = functional.scaled_dot_product_attention(*heads).transpose(2, 3).flatten(-2)
        return x + self.mixing_out(mixed), next_state


class Dilated(nn.Module):
    """In place of an LSTM: two gated causal convolutions of kernel 3 with dilations of 1 and 4 frames."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = nn.Linear(inputs, units)  # its first weights are scaled like a recurrence's
        self.cell.weight_ih_l0 = self.cell.weight
        self.steps = nn.ModuleList(nn.Conv1d(units, 2 * units, 3, dilation=far) for far in (1, 4))

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        y = self.cell(x).permute(1, 2, 0)
        for layer in self.steps:
            y = y + functional.glu(layer(functional.pad(y, (2 * layer.dilation[0], 0))), 1)
        return y.permute(2, 0, 1), list(state)


class TwoTaps(causal.CausalNetwork):
    """A denoised bin is a complex factor times this frame's bin plus another times the previous one's."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__(config)
        self.mask = nn.Conv2d(config.width, 4 * causal.GROUP_BINS, 1)
        nn.init.zeros_(self.mask.weight)
        self.mask.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0] * causal.GROUP_BINS))  # type: ignore[union-attr]

    def _apply_mask(self, x: Tensor, inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            masks = functional.conv2d(x.float(), self.mask.weight, self.mask.bias)
            m, s = (value.unflatten(1, (causal.GROUP_BINS, 2, 2)) for value in (masks, inputs))
            re = (m[:, :, :, 0] * s[:, :, :, 0] - m[:, :, :, 1] * s[:, :, :, 1]).sum(2)
            im = (m[:, :, :, 0] * s[:, :, :, 1] + m[:, :, :, 1] * s[:, :, :, 0]).sum(2)
            return torch.stack([re, im], 2).flatten(1, 2)


class NoFull(TwoTaps):
    """The LSTM over all bands feeds the bands above 8 kHz alone."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__(config)
        nn.init.zeros_(self.bottleneck_out.weight).requires_grad_(False)


DESIGNS: dict[str, tuple[str, dict[str, type]]] = {
    "two taps": (
        "LSTM over time, linear mixing, one LSTM over all bands, a mask of two taps",
        {"CausalNetwork": TwoTaps},
    ),
    "attention": (
        "the same, attention in place of linear mixing",
        {"CausalNetwork": TwoTaps, "TimeBandBlock": Attention},
    ),
    "no full band": ("the same without the LSTM over all bands", {"CausalNetwork": NoFull}),
    "convolution": (
        "gated dilated convolutions in place of the LSTMs",
        {"CausalNetwork": TwoTaps, "Recurrence": Dilated},
    ),
    "one tap": ("two taps, but the mask on this frame alone", {}),
}


def train(name: str, config: Path, data: Path, seconds: float) -> dict[str, float]:
    """One design for `seconds` of processor time."""
    torch.set_num_threads(1)
    keep_memory()
    for part, new in DESIGNS[name][1].items():
        setattr(causal, part, new)
    from unhiss.train import networks

    networks.CausalNetwork = causal.CausalNetwork  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(load(config), Store(data), Path(folder), torch.device("cpu"))
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


def schedule(run: Run, seconds: float) -> Callable[[float], None]:
    """Learning rate: half a cosine over the time limit, so that every design ends with small steps."""
    peak, elapsed = run.experiment.train.lr, [0.0]
    run.lr = lambda: peak * min(1, (run.step + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * elapsed[0] / seconds)))  # type: ignore[method-assign]
    return lambda now: elapsed.__setitem__(0, now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, nargs="?", default=ROOT / "configs" / "small.toml")
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"of {', '.join(DESIGNS)}; all if not given")
    parser.add_argument("--data", type=Path, help="made by unhiss prepare, as the config says")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.data:
        print("skipped: needs a data set at 48 kHz; give its folder with --data")
        return
    if options.one:
        print(json.dumps(train(options.one, options.config, options.data, options.minutes * 60)))
        return
    described = machine.describe("unhiss", "torch")
    pending, running, results = list(options.designs or DESIGNS), {}, {}
    while pending or running:
        while pending and len(running) < options.at_once:
            name = pending.pop(0)
            words = [sys.executable, __file__, str(options.config), "--data", str(options.data)]
            words += ["--minutes", str(options.minutes), "--one", name]
            running[name] = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        for name, process in list(running.items()):
            if process.poll() is not None:
                results[name] = {"what": DESIGNS[name][0], **json.loads(running.pop(name).communicate()[0])}
                print(name, results[name], file=sys.stderr)
        time.sleep(1)
    head = ["design", "k parameters", "audio s/s", "steps", "loss", "SNR dB"]
    rows = [
        [name, f"{r['parameters'] / 1000:.0f}", f"{r['audio_s_per_s']:.0f}", r["steps"], f"{r['valid_loss']:.5f}",
         f"{r['valid_snr_db']:.2f}"] for name, r in results.items()
    ]  # fmt: skip
    print(machine.table(head, rows))
    machine.save("designs", described, {"minutes": options.minutes, "config": options.config.name, "designs": results})


if __name__ == "__main__":
    main()
