"""Small recordings made on the spot, and a prepared set of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile

from unhiss.data import folder, synth
from unhiss.data.prepare import ClipSource, prepare
from unhiss.data.shards import Preprocessing
from unhiss.data.store import Store
from unhiss.fleet.mapping import Fleet

RATE = 22050


def voice(rng: np.random.Generator, seconds: float, rate: int = RATE) -> np.ndarray:
    """Something like speech: a buzz in syllables, with pauses between words, over a little hiss."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * rng.uniform(100, 200) * k * t) / k for k in range(1, 20))
    syllables = np.maximum(0, np.sin(2 * np.pi * 3 * t + rng.uniform(0, 6))) * (np.sin(2 * np.pi * 0.6 * t) > -0.6)
    return (0.1 * buzz * syllables + 1e-3 * rng.standard_normal(t.size)).astype(np.float32)


def speech_folder(root: Path, speakers: int = 4, each: int = 2, seconds: float = 1.5) -> Path:
    """root/NAME/N.wav at several rates; every clip is of another length."""
    rng = np.random.default_rng(speakers)
    for speaker in range(speakers):
        (root / f"speaker{speaker}").mkdir(parents=True)
        for number in range(each):
            rate = (16000, 22050, 44100)[(speaker + number) % 3]
            audio = voice(rng, seconds + 0.1 * speaker + 0.3 * number, rate)
            soundfile.write(root / f"speaker{speaker}" / f"{number}.wav", audio, rate)
    return root


def sources(tmp_path: Path, noise: str = "wind=3,hum=3,thuds=3", speakers: int = 4) -> list[ClipSource]:
    """A folder of speech and noise from equations."""
    root = tmp_path / "speech"
    if not root.exists():
        speech_folder(root, speakers)
    return [
        ClipSource("folder:speech", root, list(folder.CORPUS.read(root, role="speech"))),
        ClipSource(f"synth:{noise}", Path("synth"), list(synth.clips(noise))),
    ]


def small_set(tmp_path: Path, **settings) -> Store:
    """A prepared set with all four parts."""
    return prepare(sources(tmp_path), tmp_path / "set", Preprocessing(**settings), valid_share=0.25, fleet=Fleet(1))


def hashes(root: Path) -> dict[str, str]:
    """Every file below, hidden ones too, with its SHA-256."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
