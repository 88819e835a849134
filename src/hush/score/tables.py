"""A report as tables: Markdown for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hush import __version__
from hush.drafts import drafted
from hush.errors import DataError
from hush.score.metrics import METRICS, RATE
from hush.score.report import Report, Row

FILES = ("scores.json", "scores.csv")
GROUPS = {"snr_db": "SNR dB", "noise_kind": "noise kind"}  # manifest column -> heading of its table
MOST, STEP = 12, 5  # values of a number that get a line each; else lines are so far apart
PACKAGES = ("numpy", "soxr", "onnxruntime", "pesq", "pystoi", "speechmos")


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of n finite values; half is half the width of its 95 % interval, 1.96 sd / sqrt(n).

    Both nan without a value, half nan for a single one (sd is the sample's, over n - 1).
    """

    mean: float
    half: float
    n: int


def average(values: Iterable[float]) -> Mean:
    """Mean and interval of the finite ones among the values.

    >>> average([0.0, 2.0, 2.0, 4.0, float("nan")]).n
    4
    """
    finite = [value for value in values if math.isfinite(value)]
    n = len(finite)
    mean = math.fsum(finite) / n if n else math.nan
    if n < 2:
        return Mean(mean, math.nan, n)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    return Mean(mean, 1.96 * sd / math.sqrt(n), n)


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


def summary(report: Report) -> list[dict[str, Any]]:
    """Per system: means over all pairs, and per value of each column of GROUPS."""

    def means(rows: Sequence[Row]) -> dict[str, Any]:
        averages = {name: average(row.scores[name] for row in rows) for name in METRICS}
        return {
            "pairs": sum(not row.failure for row in rows),
            **{name: {"mean": _number(a.mean), "half_95": _number(a.half), "n": a.n} for name, a in averages.items()},
        }

    def of(system: str, rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row.system == system]

    groups = {column: grouped(report, column) for column in GROUPS}
    return [
        {
            "system": system,
            "all": means(of(system, report.rows)),
            **{
                column: {value: means(of(system, rows)) for value, rows in values.items()}
                for column, values in groups.items()
                if values
            },
        }
        for system in report.systems
    ]


def markdown(report: Report) -> str:
    """The report for the screen: overall, per group, then what could not be scored and why."""
    parts = [_table(report, {"": list(report.rows)}, "", _with_interval)]
    for column, heading in GROUPS.items():
        if groups := grouped(report, column):
            parts.append(f"By {heading}:\n\n" + _table(report, groups, heading, _plain))
    for title, rows, reasons in (
        ("Not scored:", report.failures, lambda row: (row.failure,)),
        ("Without a value, left out of that mean:", report.undefined, lambda row: row.undefined),
    ):
        if rows:
            parts.append(f"{title}\n\n" + "\n".join(_listing(report, rows, reasons)))
    return "\n\n".join(parts) + "\n"


def _table(report: Report, groups: dict[str, list[Row]], heading: str, show: Callable[[Mean, int], str]) -> str:
    first = [heading] if heading else []
    head = [*first, "system", "pairs", *(title for title, _ in METRICS.values())]
    lines = [head, ["---"] * (len(first) + 1) + ["--:"] * (len(METRICS) + 1)]
    for value, members in groups.items():
        for system in report.systems:
            rows = [row for row in members if row.system == system]
            cells = [show(average(row.scores[name] for row in rows), places) for name, (_, places) in METRICS.items()]
            scored = str(sum(not row.failure for row in rows))
            lines.append([_cell(text) for text in ([value] if heading else [])] + [_cell(system), scored, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(mean: Mean, places: int) -> str:
    return f"{mean.mean:z.{places}f}" if mean.n else "–"


def _with_interval(mean: Mean, places: int) -> str:
    return _plain(mean, places) + (f" ±{mean.half:.{places}f}" if mean.n > 1 else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _listing(report: Report, rows: list[Row], reasons: Callable[[Row], tuple[str, ...]]) -> list[str]:
    """One line for a pair and reason; the systems are named unless it holds for all of them."""
    systems: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for reason in reasons(row):
            systems.setdefault((row.pair.id, reason), []).append(row.system)
    return [
        f"- {pair}" + ("" if len(names) == len(report.systems) else f", {', '.join(names)}") + f": {reason}"
        for (pair, reason), names in systems.items()
    ]


def to_json(report: Report, settings: dict[str, Any]) -> str:
    """Summary, settings, versions and problems as strict JSON: no value is null, never NaN."""
    content = {
        "hush": __version__,
        "settings": {"rate_hz": RATE, "interval": "1.96 sd / sqrt(n)", **settings},
        "metrics": {name: title for name, (title, _) in METRICS.items()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "summary": summary(report),
        "failures": [{"system": row.system, "pair": row.pair.id, "reason": row.failure} for row in report.failures],
        "undefined": [
            {"system": row.system, "pair": row.pair.id, "reason": reason}
            for row in report.undefined
            for reason in row.undefined
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """One row for each system and pair: system, id, the GROUPS columns, every metric, problem."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "id", *GROUPS, *METRICS, "problem"])
    for row in report.rows:
        facts = [row.pair.facts.get(column, "") for column in GROUPS]
        values = [f"{row.scores[name]:.6f}" for name in METRICS]
        problem = row.failure or "; ".join(row.undefined)
        writer.writerow([row.system, row.pair.id, *facts, *values, problem])
    return text.getvalue()


def folder_for(path: Path, force: bool) -> Path:
    """The folder, made where it is not there; refuses (before the long work) one that holds a report."""
    present = [name for name in FILES if (path / name).exists()]
    if present and not force:
        raise DataError(f"{path / present[0]} exists; give --force to overwrite it, or another folder")
    path.mkdir(parents=True, exist_ok=True)
    return path


def save(report: Report, folder: Path, settings: dict[str, Any]) -> None:
    """Write FILES into the folder, each beside and then renamed, so never a half-written one."""
    for name, text in zip(FILES, (to_json(report, settings), to_csv(report)), strict=True):
        with drafted(folder / name) as draft:
            draft.write_text(text, encoding="utf-8")


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
