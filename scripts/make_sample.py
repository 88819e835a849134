"""Make examples/clean.wav and examples/noisy.wav: synthetic speech in synthetic noise, free of any licence.

Needs espeak-ng (Debian: apt-get install espeak-ng); the noise is numpy. Run: python scripts/make_sample.py
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

EXAMPLES = Path(__file__).parent.parent / "examples"
RATE = 48_000
SNR_DB = 5.0  # on active speech level
PEAK = 0.9
PAUSE_S = 0.45
SEED = 20261122
# voice, words per minute, pitch, text
LINES = (
    ("en-us+m3", 165, 42, "Can you still hear me? There is a siren outside."),
    ("en-gb+f2", 165, 55, "Barely. The wind is very loud. Turn on unhiss, please."),
)


def synthesise(voice: str, speed: int, pitch: int, text: str) -> np.ndarray:
    """The text spoken by espeak-ng: float32 (T,) at RATE, without silence at either end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "voice.wav")
        options = ["-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(path)]
        subprocess.run(["espeak-ng", *options, text], check=True)
        audio, rate = soundfile.read(path, dtype="float32")
    loud = np.flatnonzero(np.abs(audio) > 1e-3)
    return soxr.resample(audio[loud[0] : loud[-1] + 1], rate, RATE)


def conversation() -> np.ndarray:
    """All lines at the same level, with a pause before, between and after them."""
    pause = np.zeros(round(PAUSE_S * RATE), np.float32)
    parts = [pause]
    for line in LINES:
        voice = synthesise(*line)
        parts += [voice / active_rms(voice), pause]
    return np.concatenate(parts)


def active_rms(speech: np.ndarray) -> float:
    """RMS over the 20 ms blocks that are within 30 dB of the loudest one, so without the pauses."""
    block = RATE // 50
    power = np.mean(speech[: speech.size // block * block].reshape(-1, block).astype(np.float64) ** 2, axis=1)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean()))


def coloured(rng: np.random.Generator, size: int, gain: np.ndarray) -> np.ndarray:
    """Gaussian noise whose spectrum is gain (one value for each of the size // 2 + 1 frequencies), RMS 1."""
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * gain, size)
    return noise / noise.std()


def wind(rng: np.random.Generator, size: int) -> np.ndarray:
    """Rumble that falls 12 dB an octave above 150 Hz, in gusts of some seconds."""
    hz = np.fft.rfftfreq(size, 1 / RATE)
    rumble = coloured(rng, size, 1 / (1 + (hz / 150) ** 2))
    gusts = coloured(rng, size, (hz > 0) * np.exp(-((hz / 0.6) ** 2)))
    return rumble * np.exp(0.6 * gusts)


def siren(rng: np.random.Generator, size: int) -> np.ndarray:
    """A sweep between 600 and 1,300 Hz every 2.8 s with four overtones, of rising level."""
    t = np.arange(size) / RATE
    hz = 950 - 350 * np.cos(2 * np.pi * t / 2.8)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    tone = sum(np.sin(k * phase + rng.uniform(0, 2 * np.pi)) / k**1.5 for k in range(1, 6))
    return tone * np.linspace(0.3, 1.0, size)


def street(rng: np.random.Generator, size: int) -> np.ndarray:
    """Pink noise: equal power in each octave."""
    hz = np.fft.rfftfreq(size, 1 / RATE)
    return coloured(rng, size, 1 / np.sqrt(np.maximum(hz, 30)))


def make() -> tuple[np.ndarray, np.ndarray]:
    """The clean and the noisy sample, float64 (T,) each; noisy minus clean is the noise."""
    rng = np.random.default_rng(SEED)
    clean = conversation().astype(np.float64)
    noise = wind(rng, clean.size) + 0.8 * siren(rng, clean.size) + 0.5 * street(rng, clean.size)
    noise *= active_rms(clean) / np.sqrt(np.mean(noise**2)) / 10 ** (SNR_DB / 20)
    scale = PEAK / np.abs(clean + noise).max()
    return clean * scale, (clean + noise) * scale


def main() -> None:
    EXAMPLES.mkdir(exist_ok=True)
    for name, audio in zip(("clean", "noisy"), make(), strict=True):
        path = EXAMPLES / f"{name}.wav"
        soundfile.write(path, audio, RATE, subtype="PCM_16")
        print(f"{path}: {audio.size / RATE:.1f} s, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
