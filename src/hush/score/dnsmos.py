"""DNSMOS P.835: what listeners would say of speech, background and the whole, without a reference.

Runs the ONNX file that the speechmos package carries. speechmos itself is never imported: it would pull
in librosa (208 MB, seconds) for one spectrogram of another model.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hush.dsp.audio import resample
from hush.errors import AudioError, MissingExtra, need
from hush.runtime import onnxruntime

RATE = 16_000
WINDOW_S = 9.01  # the model has a fixed input: 144,160 samples

# The raw outputs to the mean opinion score, highest power first (Reddy et al. 2022, as speechmos has them).
CURVES = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


def model_file() -> Path:
    """Where the installed speechmos keeps the P.835 model; raises MissingExtra without speechmos."""
    found = find_spec("speechmos")
    if found is None or not found.submodule_search_locations:
        need("eval", "speechmos")
        raise MissingExtra("speechmos is not a package here; run: pip install --force-reinstall speechmos")
    path = Path(found.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
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
    if audio.ndim != 1 or not audio.size or not np.isfinite(audio).all():
        raise AudioError(f"DNSMOS needs finite mono audio (T,), not shape {audio.shape}; check the samples")
    audio = np.clip(resample(audio, rate, RATE), -1.0, 1.0).astype(np.float32)
    if not audio.size:
        raise AudioError(f"nothing is left of this recording at {RATE} Hz; DNSMOS needs some sound")
    session = _session()
    raw = [session.run(None, {"input_1": window[None]})[0][0] for window in _windows(audio)]
    curves = {name: np.poly1d(curve) for name, curve in CURVES.items()}
    return {
        name: float(np.mean([curve(float(outputs[index])) for outputs in raw]))
        for index, (name, curve) in enumerate(curves.items())
    }


def overall(audio: np.ndarray, rate: int) -> float:
    """The `ovrl` of p835(): one number to filter speech by."""
    return p835(audio, rate)["ovrl"]


def _windows(audio: np.ndarray) -> list[np.ndarray]:
    """The windows speechmos scores, by the very arithmetic of its code, rounding included."""
    needed = int(WINDOW_S * RATE)
    while len(audio) < needed:
        audio = np.append(audio, audio)
    hops = int(np.floor(len(audio) / RATE) - WINDOW_S) + 1
    windows = [audio[int(hop * RATE) : int((hop + WINDOW_S) * RATE)] for hop in range(hops)]
    return [window for window in windows if len(window) >= needed]


@lru_cache(maxsize=1)
def _session() -> Any:
    """The model, loaded once a process and on one thread: the processes are what runs in parallel."""
    runtime = onnxruntime()

    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(model_file()), options, providers=["CPUExecutionProvider"])
