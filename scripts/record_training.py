"""Keep a training run's record for its model's card: docs/models/NAME.training.json and NAME.curves.png.

Run: python scripts/record_training.py runs/unet unet [--threads 2 --machine "2 cores of an AMD EPYC (Zen 5)"]
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from hush.train.checkpoint import load

CARDS = Path(__file__).parent.parent / "docs" / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--machine", default="")
    options = parser.parse_args()
    _, notes = load(options.run / "best.safetensors")
    epochs = [json.loads(line) for line in (options.run / "metrics.jsonl").read_text().splitlines()]
    # Paths of the machine it ran on are nobody's business: only a corpus's own folder name stays.
    notes["data"]["sources"] = [_shortened(spec) for spec in notes["data"]["sources"]]
    record = {"machine": options.machine, **notes, "epochs": epochs}
    CARDS.mkdir(parents=True, exist_ok=True)
    target = CARDS / f"{options.name}.training.json"
    target.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.copyfile(options.run / "curves.png", CARDS / f"{options.name}.curves.png")
    print(f"{target} written; now: make docs")


def _shortened(spec: str) -> str:
    name, _, rest = spec.partition(":")
    return spec if name == "synth" else f"{name}:{Path(rest).name}"


if __name__ == "__main__":
    main()
