"""A report as tables: Markdown for people, JSON and CSV for programs."""

from __future__ import annotations

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
from unhiss.score.cache import versions
from unhiss.score.metrics import METRICS, RATE
from unhiss.score.report import Report
from unhiss.score.scorer import Row
from unhiss.score.statistics import (
    GROUPS,
    INTERVAL,
    Mean,
    average,
    baseline,
    cost_us,
    difference,
    differences,
    grouped,
    summary,
)

SHOWN = ("snr_db", "noise_kind")  # the groups that stand on the screen; files have all


def markdown(report: Report, groups: Sequence[str] = SHOWN) -> str:
    """The report for people: overall, differences, per group, then what could not be scored and why."""
    parts = [_table(report, {"": list(report.rows)}, "", with_interval)]
    if len(report.systems) > 2:
        parts.append(f"Difference to {baseline(report)}, recording by recording:\n\n{_differences(report)}")
    if costs := _costs(report):
        parts.append(costs)
    for column in groups:
        if found := grouped(report, column):
            parts.append(f"By {GROUPS[column]}:\n\n" + _table(report, found, GROUPS[column], plain))
    parts += [f"{title}\n\n" + "\n".join(lines) for title, lines in problems(report)]
    return "\n\n".join(parts) + "\n"


def problems(report: Report) -> list[tuple[str, list[str]]]:
    """What could not be scored, or only in part: a title with a line for each, none for what went well."""
    listed: list[tuple[str, list[Row], Callable[[Row], tuple[str, ...]]]] = [
        ("Not scored:", report.failures, lambda row: (row.failure,)),
        ("Of another length, scored after cutting or filling with zeros:", report.other_length, _length),
        ("Without a value, left out of that mean:", report.undefined, lambda row: row.undefined),
    ]
    return [(title, _listing(report, rows, reasons)) for title, rows, reasons in listed if rows]


def _length(row: Row) -> tuple[str, ...]:
    return (f"{abs(row.extra):,} samples too {'many' if row.extra > 0 else 'few'}",)


def _table(report: Report, groups: dict[str, list[Row]], heading: str, show: Callable[[Mean, int], str]) -> str:
    first = [heading] if heading else []
    lines = []
    for value, members in groups.items():
        for system in report.systems:
            rows = [row for row in members if row.system == system]
            cells = [show(average(row.scores[name] for row in rows), METRICS[name].places) for name in report.metrics]
            scored = str(sum(not row.failure for row in rows))
            lines.append([_cell(text) for text in ([value] if heading else [])] + [_cell(system), scored, *cells])
    return _lines([*first, "system", "pairs", *(METRICS[name].title for name in report.metrics)], lines, len(first) + 1)


def _differences(report: Report) -> str:
    first = baseline(report)
    lines = []
    for system in report.systems:
        if system != first:
            means = {name: difference(report.of(system), report.of(first), name) for name in report.metrics}
            lines.append([_cell(system), *(_signed(mean, METRICS[name].places) for name, mean in means.items())])
    return _lines(["system", *(METRICS[name].title for name in report.metrics)], lines, 1)


def _costs(report: Report) -> str:
    """How long each system takes on one core."""
    costs = {system: cost_us(report, system) for system in report.systems}
    lines = [[_cell(name), f"{us:,.0f}", f"{16_000 / max(us, 1e-3):,.0f}"] for name, us in costs.items() if us == us]
    head = _lines(["system", "µs per 16 ms", "x real time"], lines, 1)
    return f"Processor time on one core (median):\n\n{head}" if lines else ""


def _lines(head: list[str], lines: list[list[str]], left: int) -> str:
    rule = ["---"] * left + ["--:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])


def plain(mean: Mean, places: int) -> str:
    return f"{mean.mean:z.{places}f}" if mean.n else "–"


def with_interval(mean: Mean, places: int) -> str:
    return plain(mean, places) + (f" ±{mean.half:.{places}f}" if mean.n > 1 else "")


def _signed(mean: Mean, places: int) -> str:
    return f"{mean.mean:+z.{places}f}" + (f" ±{mean.half:.{places}f}" if mean.n > 1 else "") if mean.n else "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _listing(report: Report, rows: list[Row], reasons: Callable[[Row], tuple[str, ...]]) -> list[str]:
    """One line for a recording and reason; the systems are named unless it holds for all of them."""
    systems: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for reason in reasons(row):
            systems.setdefault((row.pair.id, reason), []).append(row.system)
    return [
        f"- {pair}" + ("" if len(names) == len(report.systems) else f", {', '.join(names)}") + f": {reason}"
        for (pair, reason), names in systems.items()
    ]


def to_json(report: Report, settings: dict[str, Any]) -> str:
    """Summary, differences, settings, versions and problems as strict JSON: no value is null, never NaN."""

    def listed(rows: list[Row], reasons: Callable[[Row], tuple[str, ...]]) -> list[dict[str, str]]:
        return [
            {"system": row.system, "pair": row.pair.id, "reason": reason} for row in rows for reason in reasons(row)
        ]

    content = {
        "unhiss": __version__,
        "settings": {"rate_hz": RATE, "interval": INTERVAL, **settings},
        "metrics": {name: METRICS[name].title for name in report.metrics},
        "versions": {"python": platform.python_version(), **versions()},
        "summary": summary(report),
        "differences": differences(report),
        "failures": listed(report.failures, lambda row: (row.failure,)),
        "other_length": listed(report.other_length, _length),
        "undefined": listed(report.undefined, lambda row: row.undefined),
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """One row for each system and recording: system, id, the GROUPS columns, every metric, cost_us, problem."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "id", *GROUPS, *report.metrics, "cost_us", "problem"])
    for row in report.rows:
        facts = [row.pair.facts.get(column, "") for column in GROUPS]
        values = [f"{row.scores[name]:.6f}" for name in report.metrics]
        problem = row.failure or "; ".join([*(_length(row) if row.extra else ()), *row.undefined])
        writer.writerow([row.system, row.pair.id, *facts, *values, f"{row.cost_us:.1f}", problem])
    return text.getvalue()


FILES = ("scores.json", "scores.csv", "report.md", "report.html")


def folder_for(path: Path, force: bool) -> Path:
    """The folder, made where it is not there; refuses (before the long work) one that holds a report."""
    present = [name for name in FILES if (path / name).exists()]
    if present and not force:
        raise DataError(f"{path / present[0]} exists; give --force to overwrite it, or another folder")
    path.mkdir(parents=True, exist_ok=True)
    return path


def save(report: Report, folder: Path, settings: dict[str, Any], page: str) -> None:
    """Write FILES into the folder, each beside and then renamed, so never a half-written one."""
    texts = (to_json(report, settings), to_csv(report), markdown(report, tuple(GROUPS)), page)
    for name, text in zip(FILES, texts, strict=True):
        with atomic_write(folder / name) as draft:
            draft.write_text(text, encoding="utf-8")
