"""The metrics that `unhiss evaluate` knows: title, direction, requirements and computation of each."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unhiss.dsp.resampling import resample, to_mono
from unhiss.errors import ConfigError, nearest, need
from unhiss.score import dnsmos, metrics
from unhiss.score.metrics import RATE, UndefinedMetric
from unhiss.score.recognition import Recognise, word_error_rate


class EvalItem:
    """One output of one system, with all that its metrics need; intermediate results are computed once.

    noisy, estimate, clean: `(T,)` or `(C, T)` of one shape at `rate` Hz; metrics are computed on the mono mix.
    clean, recognise: None if not available. text: the words that are spoken, empty if unknown.
    denoise: runs the system on another input; None for the noisy input itself. extra_samples: how much longer the
    output was before it was fitted to the input's length. Raises AudioError for other shapes, NaN or no samples.
    """

    def __init__(
        self, *, noisy: np.ndarray, estimate: np.ndarray, rate: int, clean: np.ndarray | None = None, text: str = "",
        denoise: Callable[[np.ndarray], np.ndarray] | None = None, recognise: Recognise | None = None,
        extra_samples: int = 0,
    ) -> None:  # fmt: skip
        noisy, estimate = metrics.check_aligned(**{"noisy input": noisy, "estimate": estimate})
        if clean is not None:
            noisy, clean = metrics.check_aligned(**{"noisy input": noisy, "reference": clean})
        self.rate, self.text, self.extra_samples = rate, text, extra_samples
        self._noisy, self._clean, self._denoise, self._recognise = noisy, clean, denoise, recognise
        self.noisy, self.estimate = to_mono(noisy), to_mono(estimate)
        self.noisy_16k, self.estimate_16k = resample(self.noisy, rate, RATE), resample(self.estimate, rate, RATE)
        if clean is not None:
            self.clean = to_mono(clean)
            self.clean_16k = resample(self.clean, rate, RATE)

    def satisfies(self, needs: frozenset[str]) -> bool:
        rerun = self._denoise is not None
        text = bool(self.text) and self._recognise is not None
        available = {"clean": self._clean is not None, "text": text, "clean run": rerun, "noise run": rerun}
        return all(available[name] for name in needs)

    @cached_property
    def denoised_clean_16k(self) -> np.ndarray:
        """The system's output for the clean speech."""
        assert self._denoise is not None and self._clean is not None
        return resample(to_mono(self._denoise(self._clean)), self.rate, RATE)

    @cached_property
    def p835(self) -> dict[str, float]:
        return dnsmos.p835(self.estimate_16k, RATE)

    def snr_gain_db(self) -> float:
        return metrics.snr(self.estimate_16k, self.clean_16k) - metrics.snr(self.noisy_16k, self.clean_16k)

    def noise_attenuation_db(self) -> float:
        assert self._denoise is not None and self._clean is not None
        noise = self._noisy - self._clean
        return metrics.attenuation_db(self._denoise(noise), noise)

    def word_error_rate(self) -> float:
        assert self._recognise is not None
        return word_error_rate(self._recognise(self.estimate_16k, RATE), self.text)


@dataclass(frozen=True)
class Metric:
    """title: column heading; decimals: digits to print; better: 1 is higher, -1 is lower, 0 is nearer to 0.

    about: one line of explanation. needs: requirements beside the noisy input and the estimate: `clean`, `text`,
    and further runs of the system: `clean run`, `noise run`. package: of the extra `eval`, which computes it.
    """

    title: str
    decimals: int
    better: int
    about: str
    compute: Callable[[EvalItem], float]
    needs: frozenset[str] = frozenset()
    package: str = ""


_CLEAN, _CLEAN_RUN, _NOISE_RUN = (
    frozenset({"clean"}), frozenset({"clean", "clean run"}), frozenset({"clean", "noise run"})
)  # fmt: skip

# In the order of every table.
METRICS = {
    "pesq_wb": Metric("PESQ-WB", 2, 1, "wide-band PESQ, 1.04 to 4.64: perceived similarity to the clean speech",
                      lambda item: metrics.pesq(item.estimate_16k, item.clean_16k, RATE), _CLEAN, "pesq"),
    "pesq_nb": Metric("PESQ-NB", 2, 1, "narrow-band PESQ, 1.02 to 4.55: the same in telephone quality",
                      lambda item: metrics.pesq(item.estimate_16k, item.clean_16k, RATE, "nb"), _CLEAN, "pesq"),
    "stoi": Metric("STOI", 3, 1, "short-time objective intelligibility, 0 to 1",
                   lambda item: metrics.stoi(item.estimate_16k, item.clean_16k, RATE), _CLEAN, "pystoi"),
    "estoi": Metric("ESTOI", 3, 1, "extended STOI, 0 to 1: also valid for fluctuating noise",
                    lambda item: metrics.stoi(item.estimate_16k, item.clean_16k, RATE, True), _CLEAN, "pystoi"),
    "si_sdr_db": Metric("SI-SDR dB", 1, 1, "speech over everything else in the output, whatever the level",
                        lambda item: float(metrics.si_sdr(item.estimate_16k, item.clean_16k)), _CLEAN),
    "snr_gain_db": Metric("SNR gain dB", 1, 1, "SNR of the output minus SNR of the noisy input",
                          EvalItem.snr_gain_db, _CLEAN),
    "sig": Metric("SIG", 2, 1, "DNSMOS P.835: predicted listener rating of the speech, 1 to 5",
                  lambda item: item.p835["sig"], package="speechmos"),
    "bak": Metric("BAK", 2, 1, "DNSMOS P.835: of the background",
                  lambda item: item.p835["bak"], package="speechmos"),
    "ovrl": Metric("OVRL", 2, 1, "DNSMOS P.835: of the overall quality",
                   lambda item: item.p835["ovrl"], package="speechmos"),
    "p808": Metric("P.808", 2, 1, "DNSMOS P.808: predicted listener rating, 1 to 5, by an older model",
                   lambda item: dnsmos.p808(item.estimate_16k, RATE), package="speechmos"),
    "lsd_high_db": Metric("LSD>8k dB", 1, -1, "log-spectral distance above 8 kHz; undefined at 16 kHz and below",
                          lambda item: metrics.log_spectral_distance(item.estimate, item.clean, item.rate), _CLEAN),
    "loudness_db": Metric("loudness dB", 1, 0, "active speech level minus that of the clean speech",
                          lambda item: metrics.loudness_change_db(item.estimate, item.clean, item.rate), _CLEAN),
    "clean_pesq_wb": Metric("clean PESQ", 2, 1, "PESQ-WB of the output for clean speech: damage done to speech",
                            lambda item: metrics.pesq(item.denoised_clean_16k, item.clean_16k, RATE),
                            _CLEAN_RUN, "pesq"),
    "clean_si_sdr_db": Metric("clean SI-SDR dB", 1, 1, "SI-SDR of the output for clean speech",
                              lambda item: float(metrics.si_sdr(item.denoised_clean_16k, item.clean_16k)), _CLEAN_RUN),
    "noise_down_db": Metric("noise down dB", 1, 1, "attenuation of the noise alone",
                            EvalItem.noise_attenuation_db, _NOISE_RUN),
    "lag": Metric("lag samples", 0, 0, "delay of the output behind the input",
                  lambda item: metrics.lag(item.estimate, item.noisy, item.rate)),
    "extra": Metric("extra samples", 0, 0, "how many samples longer the output is than the input",
                    lambda item: item.extra_samples),
    "wer": Metric("WER %", 1, -1, "word error rate of the recogniser, per 100 words",
                  EvalItem.word_error_rate, frozenset({"text"})),
}  # fmt: skip
DEFAULT = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "sig", "bak", "ovrl")


def compute_metrics(item: EvalItem, names: Sequence[str] = DEFAULT) -> tuple[dict[str, float], list[str]]:
    """The named metrics, nan where there is no value, and one line for each value that is missing or infinite.

    A metric whose requirements the item does not satisfy is nan without such a line.
    """
    values, reasons = dict.fromkeys(names, math.nan), []
    for name in names:
        metric = METRICS[name]
        if not item.satisfies(metric.needs):
            continue
        try:
            values[name] = float(metric.compute(item))
        except UndefinedMetric as error:
            reasons.append(str(error))
        if math.isinf(values[name]):
            reasons.append(f"{metric.title} is {values[name]}: left out of the means")
    return values, list(dict.fromkeys(reasons))


def select_metrics(selection: str, *, clean: bool, text: bool, recogniser: bool) -> tuple[str, ...]:
    """The metrics in a comma-separated list, in the order of METRICS; `default` and `all` are lists too.

    clean, text, recogniser: whether these are available. `default` and `all` skip what cannot be computed; a metric
    named itself that cannot be computed raises ConfigError. With a recogniser and texts, WER is always included.
    """
    available = {"clean": clean, "text": text and recogniser, "clean run": clean, "noise run": clean}
    possible = [name for name, metric in METRICS.items() if all(available[need] for need in metric.needs)]
    selected = {"wer"} & set(possible)
    for name in (part.strip() for part in selection.split(",")):
        if name in ("all", "default"):
            selected |= {metric for metric in possible if name == "all" or metric in DEFAULT}
        elif name not in METRICS:
            raise ConfigError(f"no metric {name!r}; {nearest(name, ['all', 'default', *METRICS])}")
        elif name not in possible:
            missing = "the clean recordings: --pairs"
            if name == "wer":
                missing = "--recogniser, and the spoken words: a column `text` in manifest.csv"
            raise ConfigError(f"{name} needs {missing}; give it, or leave {name} out of --metrics")
        else:
            selected.add(name)
    return tuple(name for name in METRICS if name in selected)


def check_packages(names: Sequence[str]) -> None:
    """Raise MissingExtra if a package that these metrics need is not installed."""
    for package in dict.fromkeys(METRICS[name].package for name in names):
        if package == "speechmos":
            dnsmos.model_file()
        elif package:
            need("eval", package)
