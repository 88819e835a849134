"""Means over recordings with confidence intervals, and paired differences between systems; overall and per group."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from unhiss.score.report import NOISY, Report
from unhiss.score.scorer import ScoreRow

GROUPS = {"snr_db": "SNR dB", "noise_kind": "noise kind", "language": "language"}  # manifest column -> heading
MAX_NUMBERS, NUMBER_STEP = 12, 5  # more distinct numbers than this are rounded to multiples of the step
MIN_RECORDINGS = 3  # of a group of rounded numbers: a mean of fewer says little
RESAMPLES, SEED = 2000, 0
INTERVAL = f"percentile bootstrap over recordings, {RESAMPLES:,} resamples, seed {SEED}"


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of n finite values, and the ends of its 95 % interval; all nan for n = 0, the ends for n = 1."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def bootstrap_mean(values: Iterable[float]) -> Mean:
    """Mean and 95 % interval of the finite values, by the percentile bootstrap (Efron 1979).

    The draws depend on n only, so equal values have equal intervals.

    >>> bootstrap_mean([0.0, 2.0, 2.0, 4.0, float("nan")])
    Mean(mean=2.0, low=0.5, high=3.5, n=4)
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    n = finite.size
    if n < 2:
        return Mean(float(finite[0]) if n else math.nan, math.nan, math.nan, n)
    low, high = np.percentile(finite[_draws(n)].mean(axis=1), (2.5, 97.5))
    return Mean(math.fsum(finite) / n, float(low), float(high), n)


@lru_cache(maxsize=64)
def _draws(n: int) -> np.ndarray:
    """Indices of the n recordings in each resample: `(RESAMPLES, n)`."""
    return np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))


def mean_of(rows: Iterable[ScoreRow], system: str, metric: str) -> Mean:
    """Mean of a metric over those rows that are a system's."""
    return bootstrap_mean(row.scores[metric] for row in rows if row.system == system)


def paired_difference(rows: Sequence[ScoreRow], others: Sequence[ScoreRow], metric: str) -> Mean:
    """Mean over recordings of the rows' value minus the others' value for the same recording.

    Recordings where either has no value are left out. Pairing removes the variation between recordings.
    """
    subtrahends = {row.pair.id: row.scores[metric] for row in others}
    return bootstrap_mean(row.scores[metric] - subtrahends.get(row.pair.id, math.nan) for row in rows)


def group_rows(report: Report, column: str) -> dict[str, list[ScoreRow]]:
    """Rows by the value of a manifest column, numbers in ascending order; rows without a value are left out.

    Numbers that are many, or some of which only one recording has, such as SNRs drawn from a range, are rounded to
    multiples of NUMBER_STEP; neighbours are then joined until each group has MIN_RECORDINGS: `-5 to 0`.
    """
    groups: dict[str, list[ScoreRow]] = {}
    for row in report.rows:
        if value := row.pair.metadata.get(column, ""):
            groups.setdefault(value, []).append(row)
    groups = {value: groups[value] for value in sorted(groups, key=_sort_key)}
    if not all(math.isfinite(_sort_key(value)[0]) for value in groups):
        return groups
    if len(groups) <= MAX_NUMBERS and all(count_recordings(rows) > 1 for rows in groups.values()):
        return groups
    return _ranges(groups)


def _ranges(groups: dict[str, list[ScoreRow]]) -> dict[str, list[ScoreRow]]:
    """Groups of ascending numbers, rounded, and joined until each has MIN_RECORDINGS, the smallest first."""
    rounded: dict[int, list[ScoreRow]] = {}
    for value, rows in groups.items():
        rounded.setdefault(NUMBER_STEP * math.floor(float(value) / NUMBER_STEP + 0.5), []).extend(rows)
    parts = [(low, low, rows) for low, rows in rounded.items()]
    while len(parts) > 1:
        sizes = [count_recordings(rows) for _, _, rows in parts]
        smallest = sizes.index(min(sizes))
        if sizes[smallest] >= MIN_RECORDINGS:
            break
        left = min(
            (number for number in (smallest - 1, smallest) if 0 <= number < len(parts) - 1),
            key=lambda number: sizes[number] + sizes[number + 1],
        )
        (low, _, rows), (_, high, others) = parts[left : left + 2]
        parts[left : left + 2] = [(low, high, rows + others)]
    return {f"{low}" if low == high else f"{low} to {high}": rows for low, high, rows in parts}


def shown_groups(report: Report, column: str) -> dict[str, list[ScoreRow]]:
    """The groups that a report for people shows: several names of one recording each are one group, `N others`.

    Empty where fewer than two groups are left: they would only repeat the means over all.
    """
    groups = group_rows(report, column)
    single = [value for value, rows in groups.items() if count_recordings(rows) == 1 and not is_numeric(value)]
    if len(single) > 1:
        others = [row for value in single for row in groups.pop(value)]
        groups[f"{len(single)} others"] = others
    return groups if len(groups) > 1 else {}


def count_recordings(rows: Sequence[ScoreRow]) -> int:
    return len({row.pair.id for row in rows})


def is_numeric(value: str) -> bool:
    """Whether a group is one of numbers: `5`, `-2.5` or `-5 to 0`."""
    return all(math.isfinite(_sort_key(end)[0]) for end in value.split(" to "))


def _sort_key(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def baseline(report: Report) -> str:
    """The system that the others are compared with: the first, or the noisy input if there is none."""
    return next((name for name in report.systems if name != NOISY), NOISY)


def median_cost_us(report: Report, system: str) -> float:
    """Median processor time in microseconds per 16 ms of audio; the first recording of a process includes loading."""
    costs = [row.cost_us for row in report.of(system) if math.isfinite(row.cost_us)]
    return float(np.median(costs)) if costs else math.nan


def summary(report: Report) -> list[dict[str, Any]]:
    """Per system, for JSON: means over all recordings and per value of each column of GROUPS; failures; cost."""

    def means(system: str, rows: Sequence[ScoreRow]) -> dict[str, Any]:
        averages = {metric: _mean_json(mean_of(rows, system, metric)) for metric in report.metrics}
        return {"pairs": sum(not row.failure for row in rows if row.system == system), **averages}

    return [
        {
            "system": system,
            **_overall_and_per_group(report, system, means),
            "failed": sum(bool(row.failure) for row in report.of(system)),
            "other_length": sum(bool(row.extra_samples) for row in report.of(system)),
            "cost_us_per_16_ms": _finite_or_none(median_cost_us(report, system)),
        }
        for system in report.systems
    ]


def differences(report: Report) -> list[dict[str, Any]]:
    """Per system, for JSON: mean difference to the baseline, overall and per group as in summary()."""
    reference = baseline(report)

    def against_reference(system: str, rows: Sequence[ScoreRow]) -> dict[str, Any]:
        own, others = ([row for row in rows if row.system == name] for name in (system, reference))
        return {name: _mean_json(paired_difference(own, others, name)) for name in report.metrics}

    return [
        {"system": system, "to": reference, **_overall_and_per_group(report, system, against_reference)}
        for system in report.systems
        if system != reference
    ]


def _overall_and_per_group(
    report: Report, system: str, compute: Callable[[str, Sequence[ScoreRow]], dict[str, Any]]
) -> dict[str, Any]:
    result: dict[str, Any] = {"all": compute(system, report.rows)}
    for column in GROUPS:
        if groups := group_rows(report, column):
            result[column] = {value: compute(system, rows) for value, rows in groups.items()}
    return result


def _finite_or_none(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _mean_json(mean: Mean) -> dict[str, Any]:
    ends = {"half_95": mean.half_width, "low_95": mean.low, "high_95": mean.high}
    return {"mean": _finite_or_none(mean.mean), **{k: _finite_or_none(v) for k, v in ends.items()}, "n": mean.n}
