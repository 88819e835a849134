"""What every benchmark shares: a description of the machine, timing, a table, and the file of results."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """The processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(*packages: str) -> dict[str, Any]:
    """The machine, the day and the versions of the named packages, as a result file states them."""
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": datetime.now(UTC).date().isoformat(),
        "packages": versions,
    }


def seconds(run: Callable[[], object], times: int, warm: int = 1) -> list[float]:
    """Wall seconds of each of `times` runs, after `warm` runs that do not count."""
    for _ in range(warm):
        run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return taken


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest of some measurements."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column to the left, the others to the right.

    >>> print(table(["what", "s"], [["a", "1.5"]]))
    | what |   s |
    |:-----|----:|
    | a    | 1.5 |
    """
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    wide = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        padded = [cell.rjust(n) if i else cell.ljust(n) for i, (cell, n) in enumerate(zip(row, wide, strict=True))]
        lines.append("| " + " | ".join(padded) + " |")
    rules = [":" + "-" * (wide[0] + 1), *("-" * (n + 1) + ":" for n in wide[1:])]
    return "\n".join([lines[0], "|" + "|".join(rules) + "|", *lines[1:]])


def save(name: str, machine: dict[str, Any], results: dict[str, Any]) -> Path:
    """Write bench/results/NAME.json, whole or not at all, and say so on stderr."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    draft = path.with_suffix(".json.part")
    text = json.dumps({"machine": machine, "results": results}, indent=2, ensure_ascii=False)
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
    print(f"written: {path}", file=sys.stderr)
    return path
