"""How long `unhiss --help` and `import unhiss` take, and how much room the base install does.

Run on an idle machine: python bench/startup.py [--runs 30] [--no-save]
Each command is a fresh process, with compiled bytecode and a warm disk cache; the commands take turns, so
that a slow moment of the machine meets all of them. The size counts the installed files of unhiss's base
requirements and of theirs, and unhiss itself with its models; a dev install gives the same figure.
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
GOAL_MB = 250


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
    taken: dict[str, list[float]] = {name: [] for name in commands()}
    for turn in range(runs + 2):
        for name, words in commands().items():
            once = machine.seconds(lambda words=words: subprocess.run(words, check=True, capture_output=True), 1, 0)
            if turn >= 2:  # the first turns fill the disk cache
                taken[name] += once
    return {name: machine.spread(values) for name, values in taken.items()}


def base_distributions() -> list[Distribution]:
    """unhiss's base requirements and theirs, each once, with pip since every venv holds it."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement("pip"), *map(Requirement, distribution("unhiss").requires or [])]
    while waiting:
        wanted = waiting.pop()
        if wanted.name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        found[wanted.name] = distribution(wanted.name)
        waiting += map(Requirement, found[wanted.name].requires or [])
    return list(found.values())


def size_mb() -> dict[str, float]:
    """Package -> MB (10^6 bytes) on disk, greatest first."""
    sizes = {
        dist.name: on_disk([Path(dist.locate_file(file)) for file in dist.files or []]) for dist in base_distributions()
    }
    sizes["unhiss"] = on_disk(list(UNHISS.rglob("*")))
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def on_disk(files: list[Path]) -> float:
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
