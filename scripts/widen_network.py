"""Widen a trained causal network: a checkpoint of a larger network that computes the same, to train on from.

    python scripts/widen_network.py narrow.safetensors wide.safetensors causal.width=32 causal.channels=20

causal.width, channels, bottleneck and blocks may grow. Old units keep their weights and get none from new ones; new
units begin with random weights from all, new blocks without an effect (Chen, Goodfellow and Shlens, Net2Net, 2016,
arXiv 1511.05641, for networks of their own).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from unhiss.train import checkpoint
from unhiss.train.networks import build_network

MAY_GROW = ("width", "channels", "bottleneck", "blocks")
BLOCK_OUTPUTS = ("lstm_out.weight", "mixing_out.weight")


def positions(old: int, new: int, parts: int) -> Tensor:
    """Where the units of an axis of `parts` equal parts lie in the wider axis, each part at the start of its own."""
    return (torch.arange(parts)[:, None] * (new // parts) + torch.arange(old // parts)).flatten()


def parts_of(name: str, axis: int, bands: int) -> int:
    """The parts of an axis: four gates of an LSTM, or the channels of every band side by side."""
    if axis == 0 and ".cell." in name:
        return 4
    return bands if (name, axis) in (("bottleneck_in.weight", 1), ("bottleneck_out.weight", 0)) else 1


def widened(name: str, old: Tensor, fresh: Tensor, bands: int) -> Tensor:
    """`fresh` with the values of `old`: old units take nothing from new ones."""
    if old.shape == fresh.shape:
        return old
    sizes = enumerate(zip(old.shape, fresh.shape, strict=True))
    where = [positions(before, after, parts_of(name, axis, bands)) for axis, (before, after) in sizes]
    result = fresh.clone()
    result[where[0]] = 0
    result[torch.meshgrid(*where, indexing="ij")] = old
    return result


def of_new_block(name: str, fresh: Tensor) -> Tensor:
    """`fresh`, or zeros where the block adds to what passes it."""
    return torch.zeros_like(fresh) if name.endswith(BLOCK_OUTPUTS) else fresh


def widen(source: Path, target: Path, changes: list[str]) -> None:
    tensors, metadata = checkpoint.load(source)
    experiment = checkpoint.read_experiment(source, metadata)
    if experiment.model.kind != "causal":
        raise SystemExit(f"{source} is no causal model; only those grow")
    settings = metadata["experiment"]["causal"] = asdict(experiment.causal)  # an older checkpoint does not name all
    for change in changes:
        name, _, value = change.removeprefix("causal.").partition("=")
        if name not in MAY_GROW or not value.isdigit() or int(value) < settings[name]:
            may = ", ".join(f"causal.{one} from {settings[one]}" for one in MAY_GROW)
            raise SystemExit(f"{change}: only these grow: {may}")
        settings[name] = int(value)
    torch.manual_seed(0)
    network = build_network(checkpoint.read_experiment(source, metadata))
    old = checkpoint.model_weights(tensors)
    weights = {
        name: widened(name, old[name], fresh, settings["bands"]) if name in old else of_new_block(name, fresh)
        for name, fresh in network.state_dict().items()
    }
    probe = {name: tensor for name, tensor in tensors.items() if name.startswith("probe.")}
    checkpoint.save(target, checkpoint.add_prefix("average.", weights) | probe, metadata)
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"{target}: {count:,} parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("changes", nargs="+", metavar="SETTING=UNITS")
    options = parser.parse_args()
    widen(options.source, options.target, options.changes)


if __name__ == "__main__":
    main()
