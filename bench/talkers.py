"""What people at a distance, quiet recordings and high voices lose: a quieter second talker, levels, pitch.

python bench/talkers.py [--model small model.onnx …] [--data DATA] [--ids 16] [--no-save]

DATA (UNHISS_DATA, or ../shared/data) has dev/clean and dev/noisy. Three tables of numbers, all with the default options
of `unhiss.denoise`. Second talker: a clip, half a second of silence, and the clip again 20 dB quieter; what the quieter
one loses of its active level, against the same voice alone. Levels: the SI-SDR of the dev pairs, scaled from -60 to
+20 dB. Pitch: the clips resynthesised at a median pitch of 500 to 800 Hz with their formants (WORLD, needs pyworld
and setuptools<81), and what they lose of their active level.
"""

from __future__ import annotations

import argparse
import csv
import os
from importlib.util import find_spec
from pathlib import Path

import machine
import numpy as np

from unhiss import denoise, read
from unhiss.dsp.levels import active_level_dbfs
from unhiss.dsp.resampling import resample, to_mono
from unhiss.score.metrics import si_sdr

QUIETER_DB, PAUSE_S = 20.0, 0.5
LEVELS_DB = (-60, -40, -20, 0, 20)
PITCH_HZ, FRAME_MS, RATE = (500.0, 800.0), 5.0, 24000


def second_talker_loss_db(audio: np.ndarray, rate: int, model: str) -> float:
    """dB of active level that a voice loses when it stands 20 dB below the one before."""
    gain = 10 ** (-QUIETER_DB / 20)
    pause = np.zeros(int(PAUSE_S * rate), np.float32)
    both = denoise(np.concatenate([audio, pause, audio * np.float32(gain)]), rate, model=model)
    alone = active_level_dbfs(denoise(audio, rate, model=model), rate) - QUIETER_DB
    return alone - active_level_dbfs(both[len(audio) + len(pause) :], rate)


def level_scores_db(noisy: np.ndarray, clean: np.ndarray, rate: int, model: str) -> list[float]:
    """SI-SDR at each of LEVELS_DB."""
    gains = [np.float32(10 ** (level / 20)) for level in LEVELS_DB]
    return [float(si_sdr(denoise(noisy * gain, rate, model=model) / gain, clean)) for gain in gains]


def pitch_loss_db(audio: np.ndarray, rate: int, target_hz: float, model: str) -> float:
    """dB of active level that a voice at a median pitch of `target_hz` loses."""
    import pyworld

    voice = np.ascontiguousarray(resample(audio, rate, RATE), np.float64)
    pitch, time = pyworld.dio(voice, RATE, frame_period=FRAME_MS)
    pitch = pyworld.stonemask(voice, pitch, time, RATE)
    envelope, noise = pyworld.cheaptrick(voice, pitch, time, RATE), pyworld.d4c(voice, pitch, time, RATE)
    raised = pitch * target_hz / np.median(pitch[pitch > 0])
    high = pyworld.synthesize(raised, envelope, noise, RATE, FRAME_MS).astype(np.float32)
    high *= np.float32(10 ** ((active_level_dbfs(audio, rate) - active_level_dbfs(high, RATE)) / 20))
    return active_level_dbfs(high, RATE) - active_level_dbfs(denoise(high, RATE, model=model), RATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("UNHISS_DATA", "../shared/data")))
    parser.add_argument("--model", nargs="+", default=["small"])
    parser.add_argument("--ids", type=int, default=16, help="clips of the first and the last table")
    parser.add_argument("--pairs", type=int, default=64, help="pairs of the table of levels")
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    if not (options.data / "dev" / "manifest.csv").is_file() or not find_spec("pyworld"):
        print("skipped: needs pyworld, and recordings, dev/clean and dev/noisy; UNHISS_DATA names their folder")
        return
    with (options.data / "dev" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]

    def load(side: str, name: str) -> tuple[np.ndarray, int]:
        audio, rate = read(next((options.data / "dev" / side).glob(f"{name}.*")))
        return to_mono(audio), rate

    clips = [load("clean", name) for name in ids[: options.ids]]
    pairs = [(load("noisy", name)[0], *load("clean", name)) for name in ids[: options.pairs]]
    results = {Path(model).stem: measure(model, clips, pairs) for model in options.model}
    rows = []
    for name, found in results.items():
        cells = [found[what][key] for what in ("second talker", "pitch") for key in ("mean", "worst")]
        rows.append([name, *(f"{value:.1f}" for value in cells), f"{max(map(abs, found['levels'].values())):.2f}"])
    print(machine.table(["level lost, dB", "second talker", "worst", "pitch", "worst", "scaled: SI-SDR"], rows))
    if not options.no_save:
        machine.save("talkers", machine.describe("numpy", "onnxruntime", "pyworld"), results)


def measure(
    model: str, clips: list[tuple[np.ndarray, int]], pairs: list[tuple[np.ndarray, np.ndarray, int]]
) -> dict[str, dict[str, float]]:
    """The three tables of one model: mean and worst losses in dB, and the change of SI-SDR at each level."""
    talkers = [second_talker_loss_db(*clip, model) for clip in clips]
    targets = np.geomspace(*PITCH_HZ, len(clips))
    pitches = [pitch_loss_db(*clip, hz, model) for clip, hz in zip(clips, targets, strict=True)]
    scores = np.mean([level_scores_db(*pair, model) for pair in pairs], axis=0)
    changes = (scores - scores[LEVELS_DB.index(0)]).tolist()
    return {
        "second talker": {"mean": float(np.mean(talkers)), "worst": max(talkers)},
        "pitch": {"mean": float(np.mean(pitches)), "worst": max(pitches)},
        "levels": {f"{level:+d} dB": change for level, change in zip(LEVELS_DB, changes, strict=True)},
    }


if __name__ == "__main__":
    main()
