"""Effect of fine-tuning on one kind of noise: SI-SDR on unseen recordings of it, and on all other noise.

python bench/finetune.py DATA [--kind street_music] [--epochs 1] [--no-save]
DATA contains Common Voice, noise/ with a folder for each kind, and dev/, a folder of pairs. The model must not be
trained on recordings of the kind. The commands are those a user would type, and are stored in the results:

    unhiss prepare    recordings of that noise, speech, and synthetic noise of other kinds, so that the model
                      does not forget them
    unhiss train      from the installed weights (--init)
    unhiss export     the new model; then both are scored on all pairs of dev/
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import numpy as np

from unhiss import Denoiser
from unhiss.score.metrics import si_sdr
from unhiss.score.pairs import find_pairs
from unhiss.weights import DEFAULT

ROOT = Path(__file__).parent.parent
REST = "engine,drill,car_horn,siren,bang,keyboard,wind,rain,thuds,coloured"
GOALS = {"kind_db": 0.5, "rest_db": -0.2, "minutes": 15}


def commands(options: argparse.Namespace, folder: Path) -> list[list[str]]:
    data, noise = options.data, options.data / "noise" / options.kind
    speech = next(data.glob("cv-corpus*"))
    synthetic = ",".join(f"{kind}=30" for kind in REST.split(",") if kind != options.kind)
    prepared, run = folder / "mine", folder / "run"
    return [
        ["prepare", "--speech", f"common-voice:{speech}", "--noise", f"folder:{noise}", "--noise", f"synth:{synthetic}",
         "--sample-rate", "48000", "--keep-silence", "-o", f"{prepared}"],
        ["train", f"{ROOT / 'configs' / options.model}.toml", "--data", f"{prepared}", "-o", f"{run}",
         "--init", options.model, f"train.epochs={options.epochs}", "train.examples=4000", "train.valid_examples=100",
         "train.lr=3e-4", "train.warmup_steps=50", "train.ema_decay=0.99"],
        ["export", f"{run}/best.safetensors", "-o", f"{folder}/mine.onnx"],
    ]  # fmt: skip


def si_sdrs_db(model: str | Path, folder: Path) -> dict[str, tuple[str, float]]:
    """Id -> kind of noise, and SI-SDR in dB of the denoised recording."""
    denoiser, out = Denoiser(model), {}
    for pair in find_pairs(folder):
        noisy, clean, rate = pair.load()
        out[pair.id] = pair.metadata["noise_kind"], float(si_sdr(denoiser(noisy, rate), clean))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--kind", default="street_music")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    if not options.data:
        print("skipped: give the folder of recordings (see the top of bench/finetune.py)")
        return
    described = machine.describe("unhiss", "torch", "onnxruntime")
    with tempfile.TemporaryDirectory(prefix="unhiss-bench-") as name:
        folder, started = Path(name), time.perf_counter()
        command_lines = commands(options, folder)
        for words in command_lines:
            subprocess.run([sys.executable, "-m", "unhiss", *words], check=True)
        minutes = (time.perf_counter() - started) / 60
        before, after = (si_sdrs_db(model, options.data / "dev") for model in (options.model, folder / "mine.onnx"))
        replacements = {name: "W", str(options.data): "DATA", f"{ROOT}/": ""}
        shown = [" ".join(["unhiss", *words]) for words in command_lines]
        for path, short in replacements.items():
            shown = [line.replace(path, short) for line in shown]
    rows = {
        what: [(before[id_][1], after[id_][1]) for id_, (kind, _) in before.items() if (kind == options.kind) == own]
        for what, own in ((options.kind, True), ("all other", False))
    }
    means = {what: np.mean(values, axis=0) for what, values in rows.items()}
    print(machine.table(
        ["noise", "pairs", "before dB", "after dB", "change"],
        [[what, len(rows[what]), *(f"{v:.2f}" for v in mean), f"{mean[1] - mean[0]:+.2f}"]
         for what, mean in means.items()],
    ))  # fmt: skip
    print(f"\n{minutes:.1f} minutes, preparing included (goals {GOALS})")
    if not options.no_save:
        changes = {what: {"before_db": mean[0], "after_db": mean[1]} for what, mean in means.items()}
        settings = {"model": options.model, "kind": options.kind, "minutes": minutes, "commands": shown, "goals": GOALS}
        machine.save("finetune", described, settings | {"si_sdr": changes})


if __name__ == "__main__":
    main()
