"""DNSMOS: predicted listener ratings of speech, background and overall quality (P.835, P.808), without a reference.

Runs the ONNX files inside the speechmos package. speechmos itself is never imported: it would import librosa
(208 MB, seconds) for one spectrogram.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.audio import as_samples, check_rate
from unhiss.dsp.filter_bank import triangular_filters
from unhiss.dsp.resampling import resample
from unhiss.dsp.stft import stft
from unhiss.errors import AudioError, MissingExtra, need
from unhiss.runtime import cpu_session

RATE = 16_000
MEL_FFT, MEL_HOP, MEL_BANDS = 321, 160, 120
WINDOW_S = 9.01  # the models have a fixed input: 144,160 samples

P835, P808 = "sig_bak_ovr.onnx", "model_v8.onnx"

# Polynomials from the raw outputs to mean opinion scores, highest power first (Reddy et al. 2022, as in speechmos).
POLYNOMIALS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


def model_file(name: str = P835) -> Path:
    """Path of a model in the installed speechmos package; raises MissingExtra without speechmos."""
    spec = find_spec("speechmos")
    if spec is None or not spec.submodule_search_locations:
        need("eval", "speechmos")
        raise MissingExtra("speechmos is not a package here; run: pip install --force-reinstall speechmos")
    path = Path(spec.submodule_search_locations[0]) / "dnsmos_models" / name
    if not path.is_file():
        raise MissingExtra(f"{path} is missing; run: pip install --force-reinstall speechmos")
    return path


def p835(audio: np.ndarray, rate: int) -> dict[str, float]:
    """`sig`, `bak` and `ovrl`, each about 1 (bad) to 5 (excellent), of a mono recording `(T,)`.

    As in speechmos: a recording shorter than 9.01 s is doubled until it is long enough; windows of 9.01 s, one second
    apart, are scored and averaged, as many as fit in its full seconds (up to 10.99 s only the first one counts).
    Samples beyond ±1, which speechmos refuses, are clipped (Reddy, Gopal, Cutler: DNSMOS P.835, ICASSP 2022).
    Raises AudioError for an empty recording, several channels or NaN.
    """
    session = _session(P835)
    raw = [session.run(None, {"input_1": window[None]})[0][0] for window in _windows(audio, rate)]
    return {
        name: float(np.mean([np.poly1d(polynomial)(float(outputs[index])) for outputs in raw]))
        for index, (name, polynomial) in enumerate(POLYNOMIALS.items())
    }


def overall(audio: np.ndarray, rate: int) -> float:
    """The `ovrl` of p835(): one number to filter speech by."""
    return p835(audio, rate)["ovrl"]


def p808(audio: np.ndarray, rate: int) -> float:
    """DNSMOS P.808, about 1 (bad) to 5 (excellent), of a mono recording `(T,)`; windows and errors as in p835().

    Its input is a mel spectrogram of 120 bands in dB below its maximum, as speechmos computes it with librosa.
    (Reddy, Gopal, Cutler: DNSMOS, ICASSP 2021.)
    """
    session = _session(P808)
    inputs = (_mel_levels(window[:-MEL_HOP])[None] for window in _windows(audio, rate))
    return float(np.mean([session.run(None, {"input_1": levels})[0][0, 0] for levels in inputs]))


def _mel_levels(audio: np.ndarray) -> np.ndarray:
    """`(T,)` -> `(N, 120)`: 1 for the maximum, 0 for 40 dB below it, -1 for 80 dB below it and less."""
    power = (np.abs(stft(audio, MEL_FFT, MEL_HOP).T) ** 2).astype(np.float32) @ mel_bands().T
    levels_db = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(1e-10, power.max()))
    return np.asarray((np.maximum(levels_db, -80) + 40) / 40, np.float32)


@lru_cache(maxsize=1)
def mel_bands() -> np.ndarray:
    """Slaney's mel filters `(120, bins)`: linear up to 1 kHz, logarithmic above, each of unit area."""

    def to_hz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    top = 15 + np.log(RATE / 2 / 1000) * 27 / np.log(6.4)
    edges = to_hz(np.linspace(0, top, MEL_BANDS + 2))
    bins = np.fft.rfftfreq(MEL_FFT, 1 / RATE)
    area = 2 / (edges[2:] - edges[:-2])
    return np.asarray(triangular_filters(edges, bins) * area[:, None], np.float32)


def _windows(audio: np.ndarray, rate: int) -> list[np.ndarray]:
    """The windows that speechmos scores, at 16 kHz, by the same arithmetic, rounding included."""
    rate, audio = check_rate(rate), as_samples(audio)
    if audio.ndim != 1 or not audio.size:
        raise AudioError(f"DNSMOS needs mono audio (T,), not shape {audio.shape}; check the samples")
    audio = np.clip(resample(audio, rate, RATE), -1.0, 1.0).astype(np.float32)
    if not audio.size:
        raise AudioError(f"the recording has no samples at {RATE} Hz; DNSMOS needs a longer one")
    size = int(WINDOW_S * RATE)
    while len(audio) < size:
        audio = np.append(audio, audio)
    count = int(np.floor(len(audio) / RATE) - WINDOW_S) + 1
    windows = [audio[int(start_s * RATE) : int((start_s + WINDOW_S) * RATE)] for start_s in range(count)]
    return [window for window in windows if len(window) >= size]


@lru_cache(maxsize=2)
def _session(name: str) -> Any:
    """A model, loaded once per process, on one thread: recordings are scored in parallel processes."""
    return cpu_session(model_file(name), threads=1)
