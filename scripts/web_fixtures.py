"""Test cases for the tests of the page: `python scripts/web_fixtures.py FOLDER` writes results computed by Python.

fixtures.json lists the cases; the arrays are files of little-endian float32. None of it is committed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from unhiss import denoise
from unhiss.dsp.polyphase import Polyphase

SIZES = (256, 384, 512, 768, 1024, 1536, 3072)
PAIRS = (
    (44100, 48000),
    (48000, 44100),
    (11025, 12000),
    (12000, 11025),
    (22050, 24000),
    (44056, 48000),
    (192000, 96000),
)
# rate, channels, options of unhiss.denoise
STREAMS: tuple[tuple[int, int, dict[str, Any]], ...] = (
    (48000, 1, {}), (44100, 1, {}), (8000, 1, {}), (22050, 1, {}), (96000, 1, {}), (48000, 2, {}),
    (16000, 1, {}), (16000, 1, {"atten_limit_db": 12.0}), (44100, 1, {"mix": 0.7}),
)  # fmt: skip
CODINGS = {"PCM_U8": "u8", "PCM_16": "s16", "PCM_24": "s24", "PCM_32": "s32", "FLOAT": "f32", "DOUBLE": "f64"}
SECONDS = 1.0


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)

    def save(name: str, array: np.ndarray) -> str:
        np.ascontiguousarray(array, "<f4").tofile(folder / f"{name}.f32")
        return f"{name}.f32"

    cases: dict[str, list[dict[str, Any]]] = {"fft": [], "polyphase": [], "stream": [], "wav": []}
    for size in SIZES:
        frame = rng.standard_normal(size).astype(np.float32)
        spectrum = np.fft.rfft(frame.astype(np.float64)).astype(np.complex64)
        cases["fft"].append(
            {"size": size, "x": save(f"fft{size}", frame), "y": save(f"FFT{size}", spectrum.view("f4"))}
        )
    for start, end in PAIRS:
        audio = rng.standard_normal((1, start // 10)).astype(np.float32)
        out = Polyphase(start, end, 1).push(audio)
        name = f"{start}-{end}"
        cases["polyphase"].append({"from": start, "to": end, "x": save(f"x{name}", audio), "y": save(f"y{name}", out)})
    for number, (rate, channels, options) in enumerate(STREAMS):
        audio = np.stack([voice(rng, rate, pan) for pan in range(channels)])
        denoised = denoise(audio, rate, **options)
        cases["stream"].append(
            {"rate": rate, "channels": channels, "options": options,
             "x": save(f"x{number}", audio), "y": save(f"y{number}", denoised)}
        )  # fmt: skip
    for subtype, coding in CODINGS.items():
        for channels in (1, 2, 6):
            name = f"{coding}-{channels}.wav"
            frames = rng.uniform(-1, 1, (257, channels))
            soundfile.write(folder / name, frames, 44100, subtype, format="WAVEX" if channels > 2 else "WAV")
            samples = soundfile.read(folder / name, dtype="float32", always_2d=True)[0].T
            cases["wav"].append({"file": name, "coding": coding, "rate": 44100, "x": save(name, samples)})
    (folder / "fixtures.json").write_text(json.dumps(cases), encoding="utf-8")


def voice(rng: np.random.Generator, rate: int, pan: int) -> np.ndarray:
    """Amplitude-modulated harmonics in noise that is independent in each channel."""
    t = np.arange(int(SECONDS * rate)) / rate
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    speech = 0.1 * tone * (0.5 + 0.5 * np.sin(6 * np.pi * t)) * (0.6 if pan else 1.0)
    return (speech + 0.03 * rng.standard_normal(len(t))).astype(np.float32)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
