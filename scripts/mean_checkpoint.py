"""Write a checkpoint whose averaged weights are the mean, or another weighted sum, of those of several checkpoints.

The mean of two runs that started from the same weights is often better than either (Wortsman et al. 2022,
arXiv 2203.05482), and the change that one run brought can be added to another (Ilharco et al. 2022,
arXiv 2212.04089). Everything else is copied from the first checkpoint.

Run: python scripts/mean_checkpoint.py runs/a/best.safetensors runs/b/last.safetensors -o mean.safetensors
     python scripts/mean_checkpoint.py a.safetensors b.safetensors start.safetensors --weights 1 0.5 -0.5 -o …
"""

from __future__ import annotations

import argparse
from pathlib import Path

from unhiss.train import checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--weights", type=float, nargs="+", help="one for each, with sum 1; equal if not given")
    options = parser.parse_args()
    count = len(options.checkpoints)
    weights = options.weights or [1 / count] * count
    if len(weights) != count or abs(sum(weights) - 1) > 1e-6:
        parser.error(f"--weights {weights} for {count} checkpoints; expected one for each, with sum 1")
    models = [checkpoint.load_model(path)[0].state_dict() for path in options.checkpoints]
    tensors, metadata = checkpoint.load(options.checkpoints[0])
    for name, value in models[0].items():
        if value.is_floating_point():
            tensors[f"average.{name}"] = sum(
                weight * model[name] for weight, model in zip(weights, models, strict=True)
            )
    checkpoint.save(options.output, tensors, metadata)


if __name__ == "__main__":
    main()
