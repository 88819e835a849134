"""A report as text: Markdown for people, JSON and CSV for programs."""

import csv
import io
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unhiss import __version__
from unhiss.atomic import atomic_write
from unhiss.errors import DataError
from unhiss.markup import markdown_table
from unhiss.score import statistics
from unhiss.score.metrics import RATE
from unhiss.score.registry import METRICS
from unhiss.score.report import Report, package_versions
from unhiss.score.scorer import ScoreRow
from unhiss.score.statistics import GROUPS, INTERVAL, Mean, baseline, mean_of, median_cost_us

TERMINAL_GROUPS = ("snr_db", "noise_kind")  # printed on the terminal; files have all groups
FILES = ("scores.json", "scores.csv", "report.md", "report.html")
PROBLEMS = {
    "failures": "Not scored:",
    "other_length": "Of another length, scored after cutting or filling with zeros:",
    "undefined": "Without a value, left out of that mean:",
}  # kind -> title


def to_markdown(report: Report, groups: Sequence[str] = TERMINAL_GROUPS) -> str:
    """Means overall, differences, costs and means per group, then what could not be scored and why."""
    parts = [_means_table(report, {"": list(report.rows)}, "", format_with_interval)]
    if len(report.systems) > 2:
        parts.append(f"Difference to {baseline(report)}, recording by recording:\n\n{_differences_table(report)}")
    costs = {system: median_cost_us(report, system) for system in report.systems}
    if lines := [[name, f"{us:,.0f}", f"{16_000 / max(us, 1e-3):,.0f}"] for name, us in costs.items() if us == us]:
        table = markdown_table(["system", "µs per 16 ms", "x real time"], lines, 1)
        parts.append(f"Processor time on one core (median):\n\n{table}")
    for column in groups:
        if rows_by_value := statistics.shown_groups(report, column):
            table = _means_table(report, rows_by_value, GROUPS[column], format_mean)
            parts.append(f"By {GROUPS[column]}:\n\n{table}")
    parts += [f"{title}\n\n" + "\n".join(f"- {line}" for line in lines) for title, lines in list_problems(report)]
    return "\n\n".join(parts) + "\n"


def _problems(report: Report) -> dict[str, list[tuple[ScoreRow, str]]]:
    """The kinds of problems, each with its rows and reasons."""
    return {
        "failures": [(row, row.failure) for row in report.failures],
        "other_length": [(row, _length_problem(row)) for row in report.rows if row.extra_samples],
        "undefined": [(row, reason) for row in report.rows for reason in row.undefined],
    }


def _length_problem(row: ScoreRow) -> str:
    return f"{abs(row.extra_samples):,} samples too {'many' if row.extra_samples > 0 else 'few'}"


def list_problems(report: Report) -> list[tuple[str, list[str]]]:
    """What could not be scored, fully or in part: a title and one line per recording and reason; empty without any.

    A line names the systems unless it is true of all.
    """
    sections = []
    for kind, problems in _problems(report).items():
        systems: dict[tuple[str, str], list[str]] = {}
        for row, reason in problems:
            systems.setdefault((row.pair.id, reason), []).append(row.system)
        lines = [
            pair + ("" if len(names) == len(report.systems) else f", {', '.join(names)}") + f": {reason}"
            for (pair, reason), names in systems.items()
        ]
        if lines:
            sections.append((PROBLEMS[kind], lines))
    return sections


def _means_table(
    report: Report, groups: dict[str, list[ScoreRow]], heading: str, show: Callable[[Mean, int], str]
) -> str:
    lines = []
    for value, rows in groups.items():
        for system in report.systems:
            cells = [show(mean_of(rows, system, name), METRICS[name].decimals) for name in report.metrics]
            scored = sum(row.system == system and not row.failure for row in rows)
            lines.append([value, system, str(scored), *cells])
    head = [heading, "system", "pairs", *(METRICS[name].title for name in report.metrics)]
    first = 0 if heading else 1  # column
    return markdown_table(head[first:], [line[first:] for line in lines], 2 - first)


def _differences_table(report: Report) -> str:
    reference = baseline(report)
    lines = []
    for system in report.systems:
        if system != reference:
            pairs = report.of(system), report.of(reference)
            means = {name: statistics.paired_difference(*pairs, name) for name in report.metrics}
            cells = [format_with_interval(mean, METRICS[name].decimals, "+") for name, mean in means.items()]
            lines.append([system, *cells])
    return markdown_table(["system", *(METRICS[name].title for name in report.metrics)], lines, 1)


def format_mean(mean: Mean, decimals: int, sign: str = "") -> str:
    return f"{mean.mean:{sign}z.{decimals}f}" if mean.n else "–"


def format_with_interval(mean: Mean, decimals: int, sign: str = "") -> str:
    return format_mean(mean, decimals, sign) + (f" ±{mean.half_width:.{decimals}f}" if mean.n > 1 else "")


def to_json(report: Report, settings: dict[str, Any]) -> str:
    """Summary, differences, settings, versions and problems as strict JSON: a missing value is null, never NaN."""
    content: dict[str, Any] = {
        "unhiss": __version__,
        "settings": {"rate_hz": RATE, "interval": INTERVAL, **settings},
        "metrics": {name: METRICS[name].title for name in report.metrics},
        "versions": {"python": platform.python_version(), **package_versions()},
        "summary": statistics.summary(report),
        "differences": statistics.differences(report),
    }
    for kind, problems in _problems(report).items():
        content[kind] = [{"system": row.system, "pair": row.pair.id, "reason": reason} for row, reason in problems]
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """One row for each system and recording: system, id, the GROUPS columns, every metric, cost_us, problem."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "id", *GROUPS, *report.metrics, "cost_us", "problem"])
    for row in report.rows:
        groups = [row.pair.metadata.get(column, "") for column in GROUPS]
        values = [f"{row.scores[name]:.6f}" for name in report.metrics]
        problems = [_length_problem(row)] if row.extra_samples else []
        problem = row.failure or "; ".join([*problems, *row.undefined])
        writer.writerow([row.system, row.pair.id, *groups, *values, f"{row.cost_us:.1f}", problem])
    return text.getvalue()


def prepare_folder(path: Path, force: bool) -> Path:
    """The folder, created if missing. Raises DataError, before the long work, if it contains a report."""
    present = [name for name in FILES if (path / name).exists()]
    if present and not force:
        raise DataError(f"{path / present[0]} exists; force=True overwrites it; or give another folder")
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_report(report: Report, folder: Path, settings: dict[str, Any], page: str) -> None:
    """Write FILES into the folder, each atomically."""
    texts = (to_json(report, settings), to_csv(report), to_markdown(report, tuple(GROUPS)), page)
    for name, text in zip(FILES, texts, strict=True):
        with atomic_write(folder / name) as draft:
            draft.write_text(text, encoding="utf-8")
