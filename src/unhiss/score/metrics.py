"""Computes metrics: an estimate against its reference, both arrays with time last. `registry` lists them all.

Arrays are float, or integers, which are scaled by their type: see `unhiss.dsp.audio.as_samples`.
"""

import subprocess
import sys
import warnings
from typing import Any

import numpy as np

from unhiss.arguments import check_choice
from unhiss.dsp.audio import as_samples, check_rate
from unhiss.dsp.levels import SILENCE_DBFS, active_level_dbfs, rms_dbfs
from unhiss.dsp.resampling import resample
from unhiss.dsp.stft import analyse, window
from unhiss.errors import AudioError, need

RATE = 16_000  # Hz at which PESQ, STOI, SI-SDR and SNR compare
LSD_FRAME_S = 0.032
MAX_LAG_S = 1.0

# The PESQ code holds 50 utterances and writes past its arrays beyond that. An utterance and the pause
# after it last at least 0.2 s each, so recordings up to this length are safe.
SAFE_PESQ_S = 19.0

# Runs in a separate process; prints the score, or the package's negative error code.
PESQ_SCRIPT = """
import sys, numpy, pesq
reference, estimate = numpy.frombuffer(sys.stdin.buffer.read(), numpy.float32).reshape(2, -1)
print(float(pesq.pesq(16000, reference, estimate, sys.argv[1], on_error=pesq.PesqError.RETURN_VALUES)))
"""


class UndefinedMetric(AudioError):
    """A metric has no value for this recording, for example because the reference contains no speech."""


def check_aligned(**audio: Any) -> list[np.ndarray]:
    """The named arrays as floats, by the rule of `as_samples`.

    Raises AudioError unless all have the shape of the first, are not empty and are finite.
    """
    samples = {name: as_samples(array, f"the {name}") for name, array in audio.items()}
    (first_name, first), *_ = samples.items()
    for name, array in samples.items():
        if array.shape != first.shape:
            raise AudioError(f"{name} {array.shape} and {first_name} {first.shape} differ in shape; align and cut them")
    if not first.size:
        raise AudioError("nothing to score: the recordings are empty")
    return list(samples.values())


def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-distortion ratio in dB `(...)` of float arrays `(..., T)`; higher is better.

    With both zero-mean and a = <e, r> / <r, r>: 10 log10( |a r|^2 / |e - a r|^2 ) (Le Roux et al. 2019).
    inf if the estimate is the scaled reference, -inf if it contains nothing of it.
    Raises AudioError if shapes differ or a reference is silent.

    >>> si_sdr(np.array([2.0, 0.0, -1.0, -1.0]), np.array([1.0, 0.0, -1.0, 0.0])).round(2)
    np.float64(4.77)
    """
    reference, estimate = check_aligned(reference=reference, estimate=estimate)
    e = estimate - np.mean(estimate, axis=-1, keepdims=True, dtype=np.float64)
    r = reference - np.mean(reference, axis=-1, keepdims=True, dtype=np.float64)
    energy = np.sum(r * r, axis=-1)
    with_mean = np.sum(np.square(reference, dtype=np.float64), axis=-1)
    if np.any(energy <= 1e-20 * with_mean):  # round-off of a constant
        raise UndefinedMetric("the reference is silent; SI-SDR needs one with sound in it")
    target = (np.sum(e * r, axis=-1) / energy)[..., None] * r
    signal, distortion = np.sum(target**2, axis=-1), np.sum((e - target) ** 2, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_db = 10 * np.log10(signal / distortion)
    return np.where(signal == 0, -np.inf, ratio_db)[()]


def snr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Signal-to-noise ratio in dB: 10 log10( |r|^2 / |e - r|^2 ) of `(T,)` each; inf if they are equal.

    Raises UndefinedMetric for a silent reference.
    """
    reference, estimate = check_aligned(reference=reference, estimate=estimate)
    e, r = estimate.astype(np.float64), reference.astype(np.float64)
    if not r.any():
        raise UndefinedMetric("the reference is silent; an SNR needs one with sound in it")
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.sum(r**2) / np.sum((e - r) ** 2)))


def pesq(estimate: np.ndarray, reference: np.ndarray, rate: int, mode: str = "wb") -> float:
    """PESQ of `(T,)` each, computed by the pesq package; higher is better.

    mode: "wb" is wide-band PESQ (ITU-T P.862.2), 1.04 to 4.64; "nb" is narrow-band PESQ (P.862 with the mapping of
    P.862.1), 1.02 to 4.55. Raises UndefinedMetric if PESQ finds no utterance in the reference, for less than a
    quarter second, a silent estimate, and more utterances than the pesq code can hold (from 20 s; minutes in practice).
    """
    need("eval", "pesq")
    check_choice("mode", mode, ("wb", "nb"))
    from pesq import PesqError
    from pesq import pesq as pesq_package

    name = f"PESQ-{mode.upper()}"
    e, r = _resample_both(estimate, reference, rate)
    if not e.any() or not r.any():
        raise UndefinedMetric(f"{name} has no value: silent " + ("estimate" if r.any() else "reference"))
    if len(e) > SAFE_PESQ_S * RATE:
        return _pesq_in_subprocess(e, r, mode)
    try:
        return float(pesq_package(RATE, r, e, mode))
    except (PesqError, ValueError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise UndefinedMetric(f"{name} has no value: {text}") from error


def _pesq_in_subprocess(estimate: np.ndarray, reference: np.ndarray, mode: str) -> float:
    """PESQ in a process that may crash without ending this one."""
    samples = np.stack([reference, estimate]).astype(np.float32).tobytes()
    completed = subprocess.run([sys.executable, "-c", PESQ_SCRIPT, mode], input=samples, capture_output=True)
    value = float(completed.stdout) if completed.returncode == 0 else -1.0
    if value < 0:
        name, seconds = f"PESQ-{mode.upper()}", len(estimate) / RATE
        raise UndefinedMetric(f"{name} has no value: its code gave up on {seconds:.0f} s; cut it into sentences")
    return value


def stoi(estimate: np.ndarray, reference: np.ndarray, rate: int, extended: bool = False) -> float:
    """Short-time objective intelligibility (Taal et al. 2011) of `(T,)` each, 0 to 1, computed by the pystoi package.

    extended: ESTOI, which also judges noise that fluctuates (Jensen and Taal 2016).
    Raises UndefinedMetric for a silent reference or less than 30 frames (0.4 s) of speech.
    """
    need("eval", "pystoi")
    from pystoi import stoi as pystoi_stoi

    e, r = _resample_both(estimate, reference, rate)
    if not r.any():
        raise UndefinedMetric("STOI has no value: silent reference")
    # pystoi dithers with numpy's global generator, which decides the score of a digitally silent estimate:
    # every call uses the same dither, and the caller's generator state is restored.
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Not enough STFT frames")  # pystoi would return 1e-5
            return float(pystoi_stoi(r, e, RATE, extended=extended))
    except (RuntimeWarning, ValueError) as error:
        raise UndefinedMetric("STOI has no value: under 0.4 s of speech") from error
    finally:
        np.random.set_state(state)


def _resample_both(estimate: np.ndarray, reference: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    rate, (r, e) = check_rate(rate), check_aligned(reference=reference, estimate=estimate)
    r, e = check_aligned(reference=resample(r, rate, RATE), estimate=resample(e, rate, RATE))
    return e, r


def log_spectral_distance(estimate: np.ndarray, reference: np.ndarray, rate: int, from_hz: float = 8000.0) -> float:
    """Distance of two log spectra from `from_hz` up, in dB; lower is better (Gray and Markel 1976).

    estimate, reference: `(T,)` at `rate` Hz. E and R are the levels of each bin in dB relative to a full-scale
    sine, at least -100: the mean over frames (32 ms every 16 ms) of sqrt(mean over bins of (E - R)^2).
    Raises UndefinedMetric if the rate has no band above `from_hz`, and for less than one frame.
    """
    rate, (reference, estimate) = check_rate(rate), check_aligned(reference=reference, estimate=estimate)
    size = 2 * round(LSD_FRAME_S * rate / 2)
    first_bin = int(np.ceil(from_hz * size / rate))
    if first_bin >= size // 2:
        raise UndefinedMetric(f"LSD has no value: nothing above {from_hz:,.0f} Hz at {rate:,} Hz")
    if len(reference) < size:
        raise UndefinedMetric("LSD has no value: under 32 ms")
    full_scale = window(size).sum() / 2  # magnitude of a full-scale sine
    floor = 10 ** (SILENCE_DBFS / 20)
    spectra = (analyse(audio, size, size // 2)[first_bin:] for audio in (estimate, reference))
    e, r = (20 * np.log10(np.maximum(np.abs(spectrum) / full_scale, floor)) for spectrum in spectra)
    return float(np.sqrt(np.mean((e - r) ** 2, axis=0)).mean())


def loudness_change_db(estimate: np.ndarray, reference: np.ndarray, rate: int) -> float:
    """Active speech level (ITU-T P.56) of the estimate minus that of the reference, `(T,)` each, in dB."""
    rate = check_rate(rate)
    levels = [active_level_dbfs(as_samples(audio), rate) for audio in (estimate, reference)]
    return levels[0] - levels[1]


def attenuation_db(residual_noise: np.ndarray, noise: np.ndarray) -> float:
    """Level of the noise minus the level of what remains of it, in dB; levels are at least -100 dBFS.

    Raises UndefinedMetric if there is no noise.
    """
    noise, residual_noise = as_samples(noise, "the noise"), as_samples(residual_noise, "the residual noise")
    if not noise.any():
        raise UndefinedMetric("noise down has no value: the pair holds no noise")
    return rms_dbfs(noise) - rms_dbfs(residual_noise)


def lag(estimate: np.ndarray, source: np.ndarray, rate: int) -> int:
    """Delay of the estimate behind the source in samples, `(T,)` each: the maximum of their cross-correlation.

    Between -1 s and 1 s. Raises UndefinedMetric if either is silent.
    """
    rate, estimate, source = check_rate(rate), as_samples(estimate, "the estimate"), as_samples(source, "the source")
    if not estimate.any() or not source.any():
        raise UndefinedMetric("lag has no value: silent " + ("input" if estimate.any() else "estimate"))
    size = 1 << (len(estimate) + len(source) - 1).bit_length()
    product = np.fft.rfft(estimate, size) * np.conj(np.fft.rfft(source, size))
    correlation = np.fft.irfft(product, size)
    max_lag = min(int(MAX_LAG_S * rate), size // 2 - 1)
    near = np.concatenate([correlation[-max_lag:], correlation[: max_lag + 1]]) if max_lag else correlation[:1]
    return int(np.argmax(near)) - max_lag
