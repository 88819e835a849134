"""DNSMOS: what listeners would say of speech, background and the whole (P.835, P.808), without a reference.

Runs the ONNX files that the speechmos package carries. speechmos itself is never imported: it would pull
in librosa (208 MB, seconds) for one spectrogram of another model.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.resampling import resample
from unhiss.errors import AudioError, MissingExtra, need
from unhiss.runtime import onnxruntime

RATE = 16_000
MEL_FFT, MEL_HOP, MEL_BANDS = 321, 160, 120
WINDOW_S = 9.01  # the model has a fixed input: 144,160 samples

P835, P808 = "sig_bak_ovr.onnx", "model_v8.onnx"

# The raw outputs to the mean opinion score, highest power first (Reddy et al. 2022, as speechmos has them).
CURVES = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


def model_file(name: str = P835) -> Path:
    """Where the installed speechmos keeps a model; raises MissingExtra without speechmos."""
    found = find_spec("speechmos")
    if found is None or not found.submodule_search_locations:
        need("eval", "speechmos")
        raise MissingExtra("speechmos is not a package here; run: pip install --force-reinstall speechmos")
    path = Path(found.submodule_search_locations[0]) / "dnsmos_models" / name
    if not path.is_file():
        raise MissingExtra(f"{path} is missing; run: pip install --force-reinstall speechmos")
    return path


def p835(audio: np.ndarray, rate: int) -> dict[str, float]:
    """`sig`, `bak` and `ovrl`, each about 1 (bad) to 5 (excellent), of a mono recording `(T,)`.

    As speechmos does it: a recording under 9.01 s is doubled until it is long enough; then windows of
    9.01 s, one second apart, are scored and averaged, as many as fit in the recording's whole seconds
    (so up to 10.99 s only the first window counts). Equal to speechmos.dnsmos.run within round-off.
    Samples beyond ±1, which speechmos refuses, are clipped as a 16-bit file would clip them.
    (Reddy, Gopal, Cutler: DNSMOS P.835, ICASSP 2022.)
    Raises AudioError for an empty recording, or one with channels or NaN.
    """
    session = _session(P835)
    raw = [session.run(None, {"input_1": window[None]})[0][0] for window in _windows(audio, rate)]
    curves = {name: np.poly1d(curve) for name, curve in CURVES.items()}
    return {
        name: float(np.mean([curve(float(outputs[index])) for outputs in raw]))
        for index, (name, curve) in enumerate(curves.items())
    }


def p808(audio: np.ndarray, rate: int) -> float:
    """DNSMOS P.808, about 1 (bad) to 5 (excellent), of a mono recording `(T,)`; windows and errors as p835().

    From a mel spectrogram of 120 bands, in dB below its own maximum, as speechmos has it by librosa.
    (Reddy, Gopal, Cutler: DNSMOS, ICASSP 2021.)
    """
    session = _session(P808)
    raw = [session.run(None, {"input_1": _mel_levels(window[:-MEL_HOP])[None]})[0] for window in _windows(audio, rate)]
    return float(np.mean([output[0, 0] for output in raw]))


def _mel_levels(audio: np.ndarray) -> np.ndarray:
    """`(T,)` -> `(N, 120)`, 0 dB below the maximum as 1, 40 dB as 0, and -1 from 80 dB on."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, MEL_FFT // 2), MEL_FFT)[::MEL_HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(MEL_FFT) / MEL_FFT)
    power = (np.abs(np.fft.rfft(frames * hann.astype(np.float32), axis=-1)) ** 2).astype(np.float32) @ mel_bands().T
    levels_db = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(1e-10, power.max()))
    return ((np.maximum(levels_db, -80) + 40) / 40).astype(np.float32)


@lru_cache(maxsize=1)
def mel_bands() -> np.ndarray:
    """Slaney's mel filters `(120, bins)`: linear up to 1 kHz, logarithmic above, each of unit area."""

    def to_hz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    top = 15 + np.log(RATE / 2 / 1000) * 27 / np.log(6.4)
    edges = to_hz(np.linspace(0, top, MEL_BANDS + 2))
    bins = np.fft.rfftfreq(MEL_FFT, 1 / RATE)
    up = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return (np.maximum(0, np.minimum(up, down)) * area[:, None]).astype(np.float32)


def overall(audio: np.ndarray, rate: int) -> float:
    """The `ovrl` of p835(): one number to filter speech by."""
    return p835(audio, rate)["ovrl"]


def _windows(audio: np.ndarray, rate: int) -> list[np.ndarray]:
    """The windows speechmos scores, at 16 kHz, by the very arithmetic of its code, rounding included."""
    if audio.ndim != 1 or not audio.size or not np.isfinite(audio).all():
        raise AudioError(f"DNSMOS needs finite mono audio (T,), not shape {audio.shape}; check the samples")
    audio = np.clip(resample(audio, rate, RATE), -1.0, 1.0).astype(np.float32)
    if not audio.size:
        raise AudioError(f"nothing is left of this recording at {RATE} Hz; DNSMOS needs some sound")
    needed = int(WINDOW_S * RATE)
    while len(audio) < needed:
        audio = np.append(audio, audio)
    hops = int(np.floor(len(audio) / RATE) - WINDOW_S) + 1
    windows = [audio[int(hop * RATE) : int((hop + WINDOW_S) * RATE)] for hop in range(hops)]
    return [window for window in windows if len(window) >= needed]


@lru_cache(maxsize=2)
def _session(name: str) -> Any:
    """A model, loaded once a process and on one thread: the processes are what runs in parallel."""
    runtime = onnxruntime()

    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(model_file(name)), options, providers=["CPUExecutionProvider"])
