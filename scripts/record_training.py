"""Store a training run's record for its model's card: docs/models/NAME.training.json and NAME.curves.png.

A model without a card gets one, docs/models/NAME.md: `make docs` fills in the generated parts, you write the prose.

Run: python scripts/record_training.py runs/small small [--machine "2 cores of an AMD EPYC (Zen 5)"] [--init NAME]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from unhiss.train.checkpoint import load_metadata
from unhiss.train.curves import draw_curves, read_metrics

CARDS = Path(__file__).parent.parent / "docs" / "models"
CARD = """# `{name}`

<!-- facts:start -->
<!-- facts:end -->

## How it was made

<!-- commands:start -->
<!-- commands:end -->

<!-- training:start -->
<!-- training:end -->

## Scores

<!-- scores:start -->
<!-- scores:end -->

## Where it is weak

<!-- weaknesses:start -->
<!-- weaknesses:end -->

## Known failures

Written by hand: what listening found.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--machine", default="", help="the machine it was trained on")
    parser.add_argument("--init", default="", help="the --init of unhiss train")
    parser.add_argument("--cards", type=Path, default=CARDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    metadata = load_metadata(options.run / "best.safetensors")
    epochs = read_metrics(options.run / "metrics.jsonl")
    record = {"machine": options.machine, "init": options.init, **metadata, "epochs": epochs}
    cards = options.cards
    cards.mkdir(parents=True, exist_ok=True)
    target = cards / f"{options.name}.training.json"
    target.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    (cards / f"{options.name}.curves.png").write_bytes(draw_curves(epochs))
    if not (card := cards / f"{options.name}.md").exists():
        card.write_text(CARD.format(name=options.name), encoding="utf-8")
    print(f"{target} written; now: make docs")


if __name__ == "__main__":
    main()
