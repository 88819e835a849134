"""One output of one system, and every metric asked for of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unhiss.dsp.resampling import resample, to_mono
from unhiss.errors import AudioError, ConfigError, nearest, need
from unhiss.score import dnsmos, metrics, signals
from unhiss.score.metrics import DEFAULT, METRICS, RATE, Undefined
from unhiss.score.words import Recognise, word_error_rate


@dataclass(frozen=True, kw_only=True)
class Take:
    """What the metrics of one row draw on; what several of them need is computed once.

    noisy, estimate, clean: `(T,)` or `(C, T)` of one shape at `rate` Hz; they are scored as their mono mix.
    clean, text, recognise: None or empty where there is none. again: the system, to run it on something else;
    None for the noisy input, which no system made.
    """

    noisy: np.ndarray
    estimate: np.ndarray
    rate: int
    clean: np.ndarray | None = None
    text: str = ""
    again: Callable[[np.ndarray], np.ndarray] | None = None
    recognise: Recognise | None = None

    def __post_init__(self) -> None:
        for name, audio in (("noisy input", self.noisy), ("reference", self.clean), ("estimate", self.estimate)):
            if audio is None:
                continue
            if audio.shape != self.noisy.shape:
                raise AudioError(f"{name} {audio.shape} and noisy input {self.noisy.shape} differ in shape; align them")
            if not audio.size:
                raise AudioError("nothing to score: the recordings are empty")
            if not np.isfinite(audio).all():
                raise AudioError(f"the {name} holds NaN or infinite samples; nothing can be scored")

    @cached_property
    def mono(self) -> np.ndarray:
        return to_mono(self.estimate)

    @cached_property
    def mono_noisy(self) -> np.ndarray:
        return to_mono(self.noisy)

    @cached_property
    def mono_clean(self) -> np.ndarray:
        assert self.clean is not None
        return to_mono(self.clean)

    @cached_property
    def low(self) -> np.ndarray:
        """The estimate at 16 kHz."""
        return resample(self.mono, self.rate, RATE)

    @cached_property
    def low_clean(self) -> np.ndarray:
        return resample(self.mono_clean, self.rate, RATE)

    @cached_property
    def low_noisy(self) -> np.ndarray:
        return resample(self.mono_noisy, self.rate, RATE)

    @cached_property
    def low_of_clean(self) -> np.ndarray:
        """What the system makes of the clean speech, at 16 kHz."""
        assert self.again is not None and self.clean is not None
        return resample(to_mono(self.again(self.clean)), self.rate, RATE)

    def noise_down_db(self) -> float:
        assert self.again is not None and self.clean is not None
        noise = self.noisy - self.clean
        return signals.attenuation_db(self.again(noise), noise)

    def has(self, needs: frozenset[str]) -> bool:
        given = {"clean": self.clean is not None, "text": bool(self.text) and self.recognise is not None}
        return all(given.get(need, self.again is not None) for need in needs)


# What is computed together -> the values, in that order.
_COMPUTED: dict[tuple[str, ...], Callable[[Take], Sequence[float]]] = {
    ("pesq_wb",): lambda t: [metrics.pesq_wb(t.low, t.low_clean, RATE)],
    ("pesq_nb",): lambda t: [metrics.pesq_nb(t.low, t.low_clean, RATE)],
    ("stoi",): lambda t: [metrics.stoi(t.low, t.low_clean, RATE)],
    ("estoi",): lambda t: [metrics.estoi(t.low, t.low_clean, RATE)],
    ("si_sdr_db",): lambda t: [float(metrics.si_sdr(t.low, t.low_clean))],
    ("snr_gain_db",): lambda t: [metrics.snr(t.low, t.low_clean) - metrics.snr(t.low_noisy, t.low_clean)],
    ("sig", "bak", "ovrl"): lambda t: list(dnsmos.p835(t.low, RATE).values()),
    ("p808",): lambda t: [dnsmos.p808(t.low, RATE)],
    ("lsd_high_db",): lambda t: [signals.log_spectral_distance(t.mono, t.mono_clean, t.rate)],
    ("loudness_db",): lambda t: [signals.loudness_change_db(t.mono, t.mono_clean, t.rate)],
    ("clean_pesq_wb",): lambda t: [metrics.pesq_wb(t.low_of_clean, t.low_clean, RATE)],
    ("clean_si_sdr_db",): lambda t: [float(metrics.si_sdr(t.low_of_clean, t.low_clean))],
    ("noise_down_db",): lambda t: [t.noise_down_db()],
    ("lag",): lambda t: [signals.lag(t.mono, t.mono_noisy, t.rate)],
    ("wer",): lambda t: [word_error_rate(t.recognise(t.low, RATE), t.text)] if t.recognise else [math.nan],
}


def measure(take: Take, names: Sequence[str] = DEFAULT) -> tuple[dict[str, float], list[str]]:
    """Each named metric, nan where it has no value; and for each of those without a finite one, why.

    What the take lacks (a reference, a text, a system to run again) is no reason worth a line.
    """
    values, reasons = dict.fromkeys(names, math.nan), []
    for keys, compute in _COMPUTED.items():
        wanted = [key for key in keys if key in values]
        if not wanted or not take.has(METRICS[wanted[0]].needs):
            continue
        try:
            computed = dict(zip(keys, compute(take), strict=True))
        except Undefined as error:
            reasons.append(str(error))
            continue
        values.update({key: float(computed[key]) for key in wanted})
        reasons += [
            f"{METRICS[key].title} is {computed[key]}: left out of the means"
            for key in wanted
            if math.isinf(computed[key])
        ]
    return values, list(dict.fromkeys(reasons))


def chosen(given: str, *, clean: bool, text: bool, recogniser: bool) -> tuple[str, ...]:
    """The metrics that a comma-separated list names, in the order of METRICS; `default` and `all` are lists too.

    clean, text, recogniser: what there is to measure with. Of the lists, what cannot be measured is left out; what
    is named and cannot be raises ConfigError. A recogniser is there to be used: with it and texts, WER is measured.
    """
    there = {"clean": clean, "text": text and recogniser, "clean run": clean, "noise run": clean}
    can = [name for name, metric in METRICS.items() if all(there[need] for need in metric.needs)]
    wanted = {"wer"} & set(can)
    for name in (part.strip() for part in given.split(",")):
        if name in ("all", "default"):
            wanted |= {one for one in can if name == "all" or one in DEFAULT}
        elif name not in METRICS:
            raise ConfigError(f"no metric {name!r}; {nearest(name, ['all', 'default', *METRICS])}")
        elif name not in can:
            raise ConfigError(f"{name} needs {_lacking(name, there)}; give it, or leave {name} out of --metrics")
        else:
            wanted.add(name)
    return tuple(name for name in METRICS if name in wanted)


def _lacking(name: str, there: dict[str, bool]) -> str:
    if name == "wer":
        return "--recogniser, and the words that were said: a column `text` in manifest.csv"
    return "the clean recordings: --pairs"


def check_packages(names: Sequence[str]) -> None:
    """Raise MissingExtra, before any work, where a package that these metrics need is not installed."""
    for packages, keys in ((("pesq",), ("pesq_wb", "pesq_nb", "clean_pesq_wb")), (("pystoi",), ("stoi", "estoi"))):
        if set(keys) & set(names):
            need("eval", *packages)
    if {"sig", "bak", "ovrl", "p808"} & set(names):
        dnsmos.model_file()
