"""Write a checkpoint between others of one model: its averaged weights are the mean of theirs.

Two runs that began with the same weights and went to different ends often meet half-way at something better
than either (Wortsman et al. 2022, arXiv 2203.05482). All else is taken from the first.

Run: python scripts/mean_checkpoint.py runs/a/best.safetensors runs/b/last.safetensors -o mean.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from hush.train import checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    models = [checkpoint.load_model(path)[0].state_dict() for path in options.checkpoints]
    tensors, notes = checkpoint.load(options.checkpoints[0])
    for name, value in models[0].items():
        if value.is_floating_point():
            tensors[f"average.{name}"] = torch.stack([model[name] for model in models]).mean(0)
    checkpoint.save(options.output, tensors, notes)


if __name__ == "__main__":
    main()
