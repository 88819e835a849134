"""Metrics: (estimate, reference) -> number. Everything is scored at 16 kHz, mono."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np

from hush.dsp.audio import resample, to_mono
from hush.errors import AudioError, need
from hush.score.dnsmos import p835

RATE = 16_000

# key of a score -> its heading and the decimals worth showing; the order is that of every table.
METRICS = {
    "pesq_wb": ("PESQ-WB", 2),
    "stoi": ("STOI", 3),
    "estoi": ("ESTOI", 3),
    "si_sdr_db": ("SI-SDR dB", 1),
    "sig": ("SIG", 2),
    "bak": ("BAK", 2),
    "ovrl": ("OVRL", 2),
}

# The PESQ code holds 50 utterances and writes past its arrays beyond that. An utterance and the pause
# after it last at least 0.2 s each, so recordings up to this length are safe.
SAFE_PESQ_S = 19.0

# Runs in a process of its own; prints the score, or the package's negative error code.
LONE_PESQ = """
import sys, numpy, pesq
reference, estimate = numpy.frombuffer(sys.stdin.buffer.read(), numpy.float32).reshape(2, -1)
print(float(pesq.pesq(16000, reference, estimate, "wb", on_error=pesq.PesqError.RETURN_VALUES)))
"""


class Undefined(AudioError):
    """A metric has no value for this pair, for example where the reference holds no speech."""


def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-distortion ratio in dB; higher is better.

    estimate, reference: float arrays `(..., T)` of the same shape. Returns `(...)`.
    With both zero-mean and a = <e, r> / <r, r>:
        SI-SDR = 10 log10( |a r|^2 / |e - a r|^2 )        (Le Roux et al. 2019)
    inf for an estimate that is the reference scaled, -inf for one that holds nothing of it.
    Raises AudioError if shapes differ or a reference is silent.

    >>> si_sdr(np.array([2.0, 0.0, -1.0, -1.0]), np.array([1.0, 0.0, -1.0, 0.0])).round(2)
    np.float64(4.77)
    """
    _check(estimate, reference)
    e = estimate - np.mean(estimate, axis=-1, keepdims=True, dtype=np.float64)
    r = reference - np.mean(reference, axis=-1, keepdims=True, dtype=np.float64)
    energy = np.sum(r * r, axis=-1)
    whole = np.sum(np.square(reference, dtype=np.float64), axis=-1)
    if np.any(energy <= 1e-20 * whole):  # what round-off leaves of a constant
        raise Undefined("the reference is silent; SI-SDR needs one with sound in it")
    target = (np.sum(e * r, axis=-1) / energy)[..., None] * r
    signal, distortion = np.sum(target**2, axis=-1), np.sum((e - target) ** 2, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_db = 10 * np.log10(signal / distortion)
    return np.where(signal == 0, -np.inf, ratio_db)[()]


def pesq_wb(estimate: np.ndarray, reference: np.ndarray, rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2), 1.04 to 4.64; higher is better. By the pesq package.

    estimate, reference: `(T,)` of the same length. Raises Undefined where PESQ finds no utterance in
    the reference, for under a quarter second, for a silent estimate, and for recordings with more
    utterances than its code can hold (from about 20 s; minutes of speech in practice).
    """
    need("eval", "pesq")
    from pesq import PesqError, pesq

    e, r = _at_16k(estimate, reference, rate)
    if not e.any() or not r.any():
        raise Undefined("PESQ-WB has no value: silent " + ("estimate" if r.any() else "reference"))
    if len(e) > SAFE_PESQ_S * RATE:
        return _lone_pesq(e, r)
    try:
        return float(pesq(RATE, r, e, "wb"))
    except (PesqError, ValueError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise Undefined(f"PESQ-WB has no value: {text}") from error


def _lone_pesq(estimate: np.ndarray, reference: np.ndarray) -> float:
    """PESQ where its crash cannot take this process with it."""
    samples = np.stack([reference, estimate]).astype(np.float32).tobytes()
    done = subprocess.run([sys.executable, "-c", LONE_PESQ], input=samples, capture_output=True, check=False)
    value = float(done.stdout) if done.returncode == 0 else -1.0
    if value < 0:
        seconds = len(estimate) / RATE
        raise Undefined(f"PESQ-WB has no value: its code gave up on {seconds:.0f} s; cut it into sentences")
    return value


def stoi(estimate: np.ndarray, reference: np.ndarray, rate: int) -> float:
    """Short-time objective intelligibility, about 0 to 1; higher is better. By the pystoi package.

    estimate, reference: `(T,)` of the same length. (Taal et al. 2011.)
    Raises Undefined for a silent reference or under 30 frames (0.4 s) of speech.
    """
    return _stoi(estimate, reference, rate, extended=False)


def estoi(estimate: np.ndarray, reference: np.ndarray, rate: int) -> float:
    """Extended STOI, which also judges noise that comes and goes (Jensen and Taal 2016); as stoi()."""
    return _stoi(estimate, reference, rate, extended=True)


def _stoi(estimate: np.ndarray, reference: np.ndarray, rate: int, extended: bool) -> float:
    need("eval", "pystoi")
    from pystoi import stoi as by_package

    e, r = _at_16k(estimate, reference, rate)
    if not r.any():
        raise Undefined("STOI has no value: silent reference")
    # pystoi dithers with numpy's global generator, which decides the score where the estimate is
    # digitally silent: the same dither for every call, and the caller's generator left as it was.
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Not enough STFT frames")  # where it would return 1e-5
            return float(by_package(r, e, RATE, extended=extended))
    except (RuntimeWarning, ValueError) as error:
        raise Undefined("STOI has no value: under 0.4 s of speech") from error
    finally:
        np.random.set_state(state)


def scores(estimate: np.ndarray, reference: np.ndarray, rate: int) -> dict[str, float]:
    """Every metric of METRICS, nan where a metric has no value; see measure() for the reasons.

    estimate, reference: `(T,)` or `(C, T)` of the same shape, channels are mixed down; rate in Hz.
    Raises AudioError if shapes differ, or for empty audio, NaN or infinite samples.
    """
    return measure(estimate, reference, rate)[0]


def measure(estimate: np.ndarray, reference: np.ndarray, rate: int) -> tuple[dict[str, float], list[str]]:
    """scores() and, for each metric without a finite value, one line that says why."""
    _check(estimate, reference)
    e, r = _at_16k(to_mono(estimate), to_mono(reference), rate)
    computed: dict[str, Callable[[], float]] = {
        "pesq_wb": lambda: pesq_wb(e, r, RATE),
        "stoi": lambda: stoi(e, r, RATE),
        "estoi": lambda: estoi(e, r, RATE),
        "si_sdr_db": lambda: float(si_sdr(e, r)),
    }
    values, reasons = {}, []
    for name, compute in computed.items():
        try:
            values[name] = compute()
        except Undefined as error:
            values[name] = float("nan")
            reasons.append(str(error))
    if np.isinf(values["si_sdr_db"]):
        reasons.append(f"SI-SDR is {values['si_sdr_db']} dB: left out of the means")
    return {**values, **p835(e, RATE)}, list(dict.fromkeys(reasons))


def _check(estimate: np.ndarray, reference: np.ndarray) -> None:
    if estimate.shape != reference.shape:
        raise AudioError(f"estimate {estimate.shape} and reference {reference.shape} differ in shape; align them first")
    if not reference.size:
        raise AudioError("nothing to score: the recordings are empty")
    for name, audio in (("estimate", estimate), ("reference", reference)):
        if not np.isfinite(audio).all():
            raise AudioError(f"the {name} holds NaN or infinite samples; nothing can be scored")


def _at_16k(estimate: np.ndarray, reference: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    e, r = resample(estimate, rate, RATE), resample(reference, rate, RATE)
    _check(e, r)
    return e, r
