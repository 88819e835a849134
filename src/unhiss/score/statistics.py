"""Means over recordings, how sure they are, and by how much systems differ; overall and per group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from unhiss.score.report import NOISY, Report
from unhiss.score.scorer import Row

GROUPS = {"snr_db": "SNR dB", "noise_kind": "noise kind", "language": "language"}  # manifest column -> heading
MOST, STEP = 12, 5  # values of a number that get a line each; else lines are so far apart
RESAMPLES, SEED = 2000, 0
INTERVAL = f"percentile bootstrap over recordings, {RESAMPLES:,} resamples, seed {SEED}"


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of n finite values, and the ends of its 95 % interval.

    All nan without a value, the ends nan for a single one.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def average(values: Iterable[float]) -> Mean:
    """Mean and interval of the finite ones among the values, by the percentile bootstrap (Efron 1979).

    Of so many recordings drawn with replacement, again and again: the means between the 2.5th and the 97.5th
    percentile. The draws depend on the count alone, so the same values have the same interval everywhere.

    >>> average([0.0, 2.0, 2.0, 4.0, float("nan")])
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
    """Which of n recordings each resample holds: `(RESAMPLES, n)`."""
    return np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))


def difference(rows: Sequence[Row], others: Sequence[Row], metric: str) -> Mean:
    """Mean over recordings of rows' value less others' for the same recording, and its interval.

    Only recordings where both have a value count: those that are hard for all then blur nothing.
    """
    theirs = {row.pair.id: row.scores[metric] for row in others}
    return average(row.scores[metric] - theirs.get(row.pair.id, math.nan) for row in rows)


def grouped(report: Report, column: str) -> dict[str, list[Row]]:
    """Rows by the value of a manifest column, numbers in their order; rows without a value left out.

    Numbers of more than MOST values, as SNRs drawn from a range are, go to the nearest multiple of STEP.
    """
    groups: dict[str, list[Row]] = {}
    for row in report.rows:
        if value := row.pair.facts.get(column, ""):
            groups.setdefault(value, []).append(row)
    if len(groups) > MOST and all(math.isfinite(_by_number(value)[0]) for value in groups):
        steps: dict[str, list[Row]] = {}
        for value, rows in groups.items():
            steps.setdefault(str(STEP * math.floor(float(value) / STEP + 0.5)), []).extend(rows)
        groups = steps
    return {value: groups[value] for value in sorted(groups, key=_by_number)}


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def baseline(report: Report) -> str:
    """The system that the others are held against: the first, or the noisy input where there is none."""
    return next((name for name in report.systems if name != NOISY), NOISY)


def cost_us(report: Report, system: str) -> float:
    """Median microseconds of processor time for 16 ms of sound: the first recording of a process loads much."""
    costs = [row.cost_us for row in report.of(system) if math.isfinite(row.cost_us)]
    return float(np.median(costs)) if costs else math.nan


def summary(report: Report) -> list[dict[str, Any]]:
    """Per system: means over all recordings, and per value of each column of GROUPS; what failed; what it costs."""
    groups = _groups(report)
    return [
        {
            "system": system,
            "all": _means(report, report.of(system)),
            **{
                column: {value: _means(report, _of(system, rows)) for value, rows in values.items()}
                for column, values in groups.items()
            },
            "failed": sum(bool(row.failure) for row in report.of(system)),
            "other_length": sum(bool(row.extra) for row in report.of(system)),
            "cost_us_per_16_ms": number(cost_us(report, system)),
        }
        for system in report.systems
    ]


def differences(report: Report) -> list[dict[str, Any]]:
    """Per system: mean difference to the baseline over recordings, overall and per group, as summary()."""
    first, groups = baseline(report), _groups(report)

    def against(system: str, rows: Sequence[Row]) -> dict[str, Any]:
        mine, others = _of(system, rows), _of(first, rows)
        return {name: _as_json(difference(mine, others, name)) for name in report.metrics}

    return [
        {
            "system": system,
            "to": first,
            "all": against(system, report.rows),
            **{
                column: {value: against(system, rows) for value, rows in values.items()}
                for column, values in groups.items()
            },
        }
        for system in report.systems
        if system != first
    ]


def number(value: float) -> float | None:
    """For JSON: six decimals, None for what is no number."""
    return round(value, 6) if math.isfinite(value) else None


def _groups(report: Report) -> dict[str, dict[str, list[Row]]]:
    found = {column: grouped(report, column) for column in GROUPS}
    return {column: values for column, values in found.items() if values}


def _of(system: str, rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.system == system]


def _means(report: Report, rows: Sequence[Row]) -> dict[str, Any]:
    averages = {name: _as_json(average(row.scores[name] for row in rows)) for name in report.metrics}
    return {"pairs": sum(not row.failure for row in rows), **averages}


def _as_json(mean: Mean) -> dict[str, Any]:
    return {
        "mean": number(mean.mean), "half_95": number(mean.half), "low_95": number(mean.low),
        "high_95": number(mean.high), "n": mean.n,
    }  # fmt: skip
