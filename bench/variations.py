"""What each way of varying scenes brings: the same training with all of them, and without each in turn.

python bench/variations.py --data DIR [--init small] [--steps 256] [--at-once 2] [VARIATION ...]

Every run starts from the same weights and takes the same steps, with a learning rate that falls to nothing; only one
setting differs. The loss and the SNR are those of the fixed, plain validation mixtures, which no setting changes. One
thread each. Few steps from trained weights show what a variation costs or brings at once, not what it prevents in a
long training: over-fitting to a few hours of speech.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import machine
import torch
from designs import run_all

from unhiss.config import load
from unhiss.data.store import Store
from unhiss.train import checkpoint
from unhiss.train.device import keep_memory
from unhiss.train.loop import Run
from unhiss.weights import find_checkpoint

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "configs" / "small-long.toml"
SETTINGS = ("causal.segment_s=2", "vary.rooms=32", "train.micro_batches=1", "train.schedule=cosine", "train.epochs=1")
SETTINGS += ("train.warmup_steps=10", "train.ema_decay=0.97", "train.lr=4e-4")
WITHOUT = {
    "other speeds": ("vary.speed_share=0",),
    "moved formants": ("vary.formants=0",),
    "several people": ("vary.people=0",),
    "more noises than one": ("vary.noises=1",),
    "noise backwards": ("vary.reverse=0",),
    "spectra of other noises": ("vary.noise_spectrum=0",),
    "envelopes of other sounds": ("vary.noise_envelope=0",),
    "noise at other speeds": ("augment.noise_speed=0",),
    "intermittent noise": ("augment.gate=0",),
    "babble": ("augment.babble=0",),
    "rooms": ("augment.reverb=0",),
    "microphones' responses": ("augment.eq_db=0",),
    "resonances": ("vary.resonances=0",),
    "clipping": ("augment.clip=0",),
    "gain control": ("vary.gain_control=0",),
    "packet loss": ("vary.packet_loss=0",),
    "codecs": ("augment.codec=0",),
    "narrow bands": ("augment.band_limit=0",),
    "clean speech": ("vary.clean=0",),
    "noise alone": ("vary.noise_only=0",),
    "SNRs beyond -5 to 20 dB": ("vary.snr_db=[-5, 20]",),
    "quiet recordings": ("vary.level_dbfs=[-45, 0]",),
}
ALL = "nothing"


def train(name: str, data: Path, init: str, steps: int) -> dict[str, float]:
    """The validation of a run without `name`."""
    torch.set_num_threads(1)
    keep_memory()
    torch.set_flush_denormal(True)  # as unhiss train
    store = Store(data)
    settings = [*SETTINGS, *WITHOUT.get(name, ()), f"causal.sample_rate={store.rate}"]
    experiment = load(CONFIG, (*settings, f"train.examples={16 * steps}"))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(experiment, store, Path(folder), torch.device("cpu"))
        checkpoint.load_weights(run.model, run.ema_model, find_checkpoint(init), "causal")
        for batches in run.batches.epoch(0):
            run.train_step(*batches)
        return dict(run.validate())  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("without", nargs="*", metavar="VARIATION", help=f"of {', '.join(WITHOUT)}; all if not given")
    parser.add_argument("--data", type=Path, help="made by unhiss prepare, as docs/training.md says")
    parser.add_argument("--init", default="small", help="weights to start from: a name or a checkpoint")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--one", nargs=1, metavar="VARIATION", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.data:
        print("skipped: needs a data set at 16 to 48 kHz; give its folder with --data")
        return
    if options.one:
        print(json.dumps(train(options.one[0], options.data, options.init, options.steps)))
        return
    described = machine.describe("unhiss", "torch")
    words = [__file__, "--data", str(options.data), "--init", options.init, "--steps", str(options.steps)]
    names = [ALL, *(options.without or WITHOUT)]
    found = run_all([(name,) for name in names], words, options.at_once)
    results = {name: found[name,] for name in names}
    base = results[ALL]["valid_loss"]
    rows = [
        [name, f"{one['valid_loss']:.5f}", f"{one['valid_loss'] - base:+.5f}", f"{one['valid_snr_db']:.2f}"]
        for name, one in results.items()
    ]
    print(machine.table(["without", "loss", "change", "SNR dB"], rows))
    machine.save("variations", described, {"steps": options.steps, "init": options.init, "without": results})


if __name__ == "__main__":
    main()
