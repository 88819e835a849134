"""Metrics that hold an estimate against its reference, and the table of all that unhiss measures.

Everything is scored at 16 kHz, mono, unless it says otherwise.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import NamedTuple

import numpy as np

from unhiss.dsp.resampling import resample
from unhiss.errors import AudioError, need

RATE = 16_000


class Metric(NamedTuple):
    """title: its heading; places: decimals worth showing; better: 1 is higher, -1 is lower, 0 is nearer to 0.

    needs: what a row must have beside the noisy recording and the estimate: `clean`, `text`; or further
    runs of the system: `clean run`, `noise run`. about: one line for people.
    """

    title: str
    places: int
    better: int
    needs: frozenset[str]
    about: str


_CLEAN = frozenset({"clean"})

# The order is that of every table.
METRICS = {
    "pesq_wb": Metric("PESQ-WB", 2, 1, _CLEAN, "wide-band PESQ, 1.04 to 4.64: how near to the clean speech it sounds"),
    "pesq_nb": Metric("PESQ-NB", 2, 1, _CLEAN, "narrow-band PESQ, 1.02 to 4.55: the same over a telephone"),
    "stoi": Metric("STOI", 3, 1, _CLEAN, "intelligibility, 0 to 1"),
    "estoi": Metric("ESTOI", 3, 1, _CLEAN, "extended STOI, 0 to 1: also where noise comes and goes"),
    "si_sdr_db": Metric("SI-SDR dB", 1, 1, _CLEAN, "the voice over all that is not the voice, whatever the level"),
    "snr_gain_db": Metric("SNR gain dB", 1, 1, _CLEAN, "SNR of the result less SNR of the noisy input"),
    "sig": Metric("SIG", 2, 1, frozenset(), "DNSMOS P.835: what listeners would say of the voice, 1 to 5"),
    "bak": Metric("BAK", 2, 1, frozenset(), "DNSMOS P.835: of the background"),
    "ovrl": Metric("OVRL", 2, 1, frozenset(), "DNSMOS P.835: of the whole"),
    "p808": Metric("P.808", 2, 1, frozenset(), "DNSMOS P.808: what listeners would say, 1 to 5, by an older model"),
    "lsd_high_db": Metric("LSD>8k dB", 1, -1, _CLEAN, "distance of the spectra above 8 kHz; none at 16 kHz and below"),
    "loudness_db": Metric("loudness dB", 1, 0, _CLEAN, "level of the active speech less that of the clean speech"),
    "clean_pesq_wb": Metric(
        "clean PESQ", 2, 1, frozenset({"clean", "clean run"}), "PESQ-WB of what becomes of clean speech: damage"
    ),
    "clean_si_sdr_db": Metric(
        "clean SI-SDR dB", 1, 1, frozenset({"clean", "clean run"}), "SI-SDR of what becomes of clean speech"
    ),
    "noise_down_db": Metric(
        "noise down dB", 1, 1, frozenset({"clean", "noise run"}), "how much less is left of the noise alone"
    ),
    "lag": Metric("lag samples", 0, 0, frozenset(), "how much later the result is than the input"),
    "extra": Metric("extra samples", 0, 0, frozenset(), "how much longer the result is than the input"),
    "wer": Metric("WER %", 1, -1, frozenset({"text"}), "words that the recogniser gets wrong, of 100"),
}
DEFAULT = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "sig", "bak", "ovrl")

# The PESQ code holds 50 utterances and writes past its arrays beyond that. An utterance and the pause
# after it last at least 0.2 s each, so recordings up to this length are safe.
SAFE_PESQ_S = 19.0

# Runs in a process of its own; prints the score, or the package's negative error code.
LONE_PESQ = """
import sys, numpy, pesq
reference, estimate = numpy.frombuffer(sys.stdin.buffer.read(), numpy.float32).reshape(2, -1)
print(float(pesq.pesq(16000, reference, estimate, sys.argv[1], on_error=pesq.PesqError.RETURN_VALUES)))
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


def snr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Level of the reference over that of what the estimate differs by, in dB: 10 log10( |r|^2 / |e - r|^2 ).

    estimate, reference: `(T,)` of the same length. inf where they are equal; Undefined for a silent reference.
    """
    _check(estimate, reference)
    e, r = estimate.astype(np.float64), reference.astype(np.float64)
    if not r.any():
        raise Undefined("the reference is silent; an SNR needs one with sound in it")
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.sum(r**2) / np.sum((e - r) ** 2)))


def pesq_wb(estimate: np.ndarray, reference: np.ndarray, rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2), 1.04 to 4.64; higher is better. By the pesq package.

    estimate, reference: `(T,)` of the same length. Raises Undefined where PESQ finds no utterance in
    the reference, for under a quarter second, for a silent estimate, and for recordings with more
    utterances than its code can hold (from about 20 s; minutes of speech in practice).
    """
    return _pesq(estimate, reference, rate, "wb")


def pesq_nb(estimate: np.ndarray, reference: np.ndarray, rate: int) -> float:
    """Narrow-band PESQ (ITU-T P.862 with the mapping of P.862.1), 1.02 to 4.55; as pesq_wb()."""
    return _pesq(estimate, reference, rate, "nb")


def _pesq(estimate: np.ndarray, reference: np.ndarray, rate: int, mode: str) -> float:
    need("eval", "pesq")
    from pesq import PesqError, pesq

    name = f"PESQ-{mode.upper()}"
    e, r = _at_16k(estimate, reference, rate)
    if not e.any() or not r.any():
        raise Undefined(f"{name} has no value: silent " + ("estimate" if r.any() else "reference"))
    if len(e) > SAFE_PESQ_S * RATE:
        return _lone_pesq(e, r, mode)
    try:
        return float(pesq(RATE, r, e, mode))
    except (PesqError, ValueError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise Undefined(f"{name} has no value: {text}") from error


def _lone_pesq(estimate: np.ndarray, reference: np.ndarray, mode: str) -> float:
    """PESQ where its crash cannot take this process with it."""
    samples = np.stack([reference, estimate]).astype(np.float32).tobytes()
    done = subprocess.run([sys.executable, "-c", LONE_PESQ, mode], input=samples, capture_output=True, check=False)
    value = float(done.stdout) if done.returncode == 0 else -1.0
    if value < 0:
        seconds = len(estimate) / RATE
        raise Undefined(f"PESQ-{mode.upper()} has no value: its code gave up on {seconds:.0f} s; cut it into sentences")
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
