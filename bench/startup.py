"""Time of `unhiss --help` and `import unhiss`, and disk space of the base installation.

Run on an idle machine: python bench/startup.py [--runs 30] [--no-save]
Each command is a new process, with compiled bytecode and a warm disk cache; the commands alternate, so that a slow
moment of the machine affects all of them. The size counts the installed files of unhiss's base requirements and of
their requirements, and unhiss itself with its models; a dev install gives the same figure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, distribution
from pathlib import Path

import machine
from packaging.requirements import Requirement

UNHISS = Path(__file__).parent.parent / "src" / "unhiss"
GOALS = {"unhiss --help": 0.35, "import unhiss": 0.15}
GOAL_MB = 230


def commands() -> dict[str, list[str]]:
    script = Path(sysconfig.get_path("scripts")) / "unhiss"
    if not script.is_file():
        sys.exit(f"{script} is missing: run this with the Python that has unhiss installed (make bench)")
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import unhiss": [sys.executable, "-c", "import unhiss"],
        "unhiss --help": [str(script), "--help"],
    }


def time_commands(runs: int) -> dict[str, dict[str, float]]:
    """Name -> median, min and max wall seconds."""
    times: dict[str, list[float]] = {name: [] for name in commands()}
    for round_number in range(runs + 2):
        for name, words in commands().items():
            elapsed = machine.seconds(lambda words=words: subprocess.run(words, check=True, capture_output=True), 1, 0)
            if round_number >= 2:  # the first rounds fill the disk cache
                times[name] += elapsed
    return {name: machine.spread(values) for name, values in times.items()}


def base_distributions() -> list[Distribution]:
    """unhiss's base requirements and their requirements, each once; with pip, which every venv contains."""
    distributions: dict[str, Distribution] = {}
    pending = [Requirement("pip"), *map(Requirement, distribution("unhiss").requires or [])]
    while pending:
        requirement = pending.pop()
        if requirement.name in distributions or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        distributions[requirement.name] = distribution(requirement.name)
        pending += map(Requirement, distributions[requirement.name].requires or [])
    return list(distributions.values())


def size_mb() -> dict[str, float]:
    """Package -> MB (10^6 bytes) on disk, largest first."""
    sizes = {
        dist.name: disk_usage_mb([Path(dist.locate_file(file)) for file in dist.files or []])
        for dist in base_distributions()
    }
    sizes["unhiss"] = disk_usage_mb(list(UNHISS.rglob("*")))
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def disk_usage_mb(files: list[Path]) -> float:
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file()) / 1e6


def row_of(name: str, spread: dict[str, float], bare: float) -> list[str]:
    over = f"{spread['median'] - bare:+.3f}"
    goal = f"{GOALS[name]:.2f}" if name in GOALS else "–"
    return [*(f"{spread[key]:.3f}" for key in ("median", "min", "max")), over, goal]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    described = machine.describe("unhiss", "click", "onnxruntime")
    times = time_commands(options.runs)
    bare = times["python -c pass"]["median"]
    rows = [[name, *row_of(name, spread, bare)] for name, spread in times.items()]
    print(machine.table(["command", "median s", "min", "max", "over bare python", "goal"], rows))
    sizes = size_mb()
    total = sum(sizes.values())
    lines = [[name, f"{mb:.1f}"] for name, mb in sizes.items()]
    print("\n" + machine.table(["base install", "MB"], [*lines, [f"all (goal {GOAL_MB})", f"{total:.1f}"]]))
    if not options.no_save:
        results = {"runs": options.runs, "seconds": times, "base_install_mb": {**sizes, "all": total}}
        machine.save("startup", described, results)


if __name__ == "__main__":
    main()
