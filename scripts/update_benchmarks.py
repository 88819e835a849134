"""Write docs/benchmarks.md from bench/results/*.json: every measured speed, beside a baseline of the same run.

Run: python scripts/update_benchmarks.py [--check]; with --check nothing is written, and 1 tells that the page is old.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from update_readme import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "bench" / "results"
HEAD = """# Measured speed

This page is made from `bench/results/*.json` by `make docs`; `make bench` measures all of it again, on an idle machine,
and leaves out what needs something that is not there (it says what). A time says little on another machine, so each
stands beside a baseline that was measured in the same run, in turns: the ratio is what to compare.
"""
Results = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """One script of bench/: what it measures against what, and its results as a Markdown table."""

    title: str
    baseline: str
    rows: Callable[[Results], str]
    needs: str = ""  # beside a clone


def startup(results: Results) -> str:
    seconds = results["seconds"]
    rows = [
        [f"`{name}`", *_spread(spread, 3), _ratio(spread, seconds["python -c pass"])]
        for name, spread in seconds.items()
    ]
    size = results["base_install_mb"]
    greatest = sorted((mb, name) for name, mb in size.items() if name != "all")[::-1][:3]
    named = ", ".join(f"{name} {mb:.0f}" for mb, name in greatest)
    note = f"The base install takes {size['all']:.0f} MB, the greatest parts {named} MB."
    return f"{table(['command', 's', 'least', 'most', '× baseline'], rows)}\n\n{note}"


def cli(results: Results) -> str:
    seconds = results["seconds"]
    rows = [[name, *_spread(spread, 2), _ratio(spread, seconds["unhiss"])] for name, spread in seconds.items()]
    note = f"{results['audio_s']} s at 48 kHz, model `{results['model']}`, each run a fresh process."
    return f"{table(['program', 's', 'least', 'most', '× baseline'], rows)}\n\n{note}"


def folder(results: Results) -> str:
    jobs = {f"`-j {count}`": results[f"jobs_{count}"] for count in (1, 2)}
    base = jobs["`-j 1`"]["folder"]
    rows = [
        [
            name,
            *_spread(spent["folder"], 1),
            f"{spent['start']['median']:.1f}",
            f"{base['median'] / spent['folder']['median']:.2f}",
        ]
        for name, spent in jobs.items()
    ]
    note = f"{results['files']} files of {results['seconds']} s, model `{results['model']}`, one thread each."
    return f"{table(['processes', 's', 'least', 'most', 'of it start', 'times as fast'], rows)}\n\n{note}"


def memory(results: Results) -> str:
    runs = results["runs"]
    rows = [
        [
            f"{run['audio_s']:,} s",
            f"{run['file_mb']:.1f}",
            f"{run['peak_mb']:.0f}",
            f"{run['peak_mb'] / runs[0]['peak_mb']:.3f}",
        ]
        for run in runs
    ]
    return table(["recording", "file MB", "peak MB", "× baseline"], rows)


def infer(results: Results) -> str:
    rows, notes = [], []
    for name, found in results.items():
        costs = found["us_per_frame"]
        rows += [
            [f"`{name}`", case, *_spread(cost, 0), _ratio(cost, costs["reference graph"])]
            for case, cost in costs.items()
        ]
        notes.append(f"`unhiss denoise --model {name}` on one core: {found['file_times_real_time']:.0f} × real time.")
    head = ["model", "case", "µs a frame", "least", "most", "× baseline"]
    return table(head, rows, left=2) + "\n\n" + " ".join(notes)


def train(results: Results) -> str:
    loops = {name: found for name, found in results.items() if isinstance(found, dict)}
    rows = [[f"`{name}`", *_spread(found, 1), f"{found['ratio']:.2f}"] for name, found in loops.items()]
    return table([f"loop, on {results['device']}", "frames/s", "least", "most", "× baseline"], rows)


def prepare(results: Results) -> str:
    seconds = results["seconds"]
    base = seconds["plain librosa script"]["median"]
    rows = [[name, *_spread(spread, 1), f"{base / spread['median']:.2f}"] for name, spread in seconds.items()]
    clips = results["clips"]
    note = f"{clips['speech']:,} clips of speech, {clips['noise']:,} of noise, {results['pairs']:,} pairs."
    return f"{table(['program', 's', 'least', 'most', 'times as fast'], rows)}\n\n{note}"


def designs(results: Results) -> str:
    found = results["designs"]
    base = found["one tap"]["audio_s_per_s"]
    rows = [
        [name, f"{one['audio_s_per_s']:.0f}", f"{one['audio_s_per_s'] / base:.2f}", f"{one['valid_loss']:.4f}"]
        for name, one in found.items()
    ]
    note = f"{results['minutes']:g} minutes each; [models/designs.md](models/designs.md) says what they are."
    return f"{table(['design', 's of sound trained on a second', '× baseline', 'validation loss'], rows)}\n\n{note}"


def finetune(results: Results) -> str:
    rows = [
        [name, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"]
        for name, (before, after) in ((name, found.values()) for name, found in results["si_sdr"].items())
    ]
    commands = "\n".join(results["commands"])
    note = f"{results['minutes']:.0f} minutes, preparing included:\n\n```\n{commands}\n```"
    return f"{table(['noise', 'SI-SDR dB before', 'after', 'change'], rows)}\n\n{note}"


def evaluate(results: Results) -> str:
    loop, spread = results["loop_s"], results["evaluate_s"]
    rows = [["plain loop", f"{loop:.0f}", "1.00"], ["`unhiss evaluate`", f"{spread:.0f}", f"{spread / loop:.2f}"]]
    note = f"{results['pairs']} pairs, systems {', '.join(results['systems'])}, {results['jobs']} processes."
    if "loop_cores" in results:
        note += f" The loop took {results['loop_cores']:.2f} cores."
    return f"{table(['program', 's', '× baseline'], rows)}\n\n{note}"


def serve(results: Results) -> str:
    costs, sockets = results["us_per_hop"], results["sockets"]
    base = costs["one by one"]["median"]
    rows = [
        [f"a hop of a stream, {name}, µs", *_spread(cost, 0), f"{base / cost['median']:.2f}"]
        for name, cost in costs.items()
    ]
    first = table(["without network, one core", "median", "least", "most", "times as fast"], rows)
    live = [
        [
            f"{run['streams']} streams, a tick",
            run["late"],
            f"{run['ticks']:,}",
            *(run[key] for key in ("p50", "p99", "most")),
        ]
        for run in results["live"]
    ]
    live.append(
        [f"{sockets['streams']} sockets, a packet", sockets["lost"] + sockets.get("wrong", 0),
         f"{sockets.get('packets', 0):,}", *(sockets.get(key, "-") for key in ("p50", "p99", "most"))]
    )  # fmt: skip
    second = table(["in real time", "late, lost or wrong", "of", "ms p50", "p99", "most"], live)
    note = (
        f"Model `{results['model']}`, 48 kHz, {results['seconds']:g} s. A tick has 16 ms. A packet of 20 ms counts "
        "from when it is sent until as many samples are back; a stream that is not the offline result "
        "is wrong, one that the server let go is lost."
    )
    if "within_25_ms" in sockets:
        note += f" Within 25 ms of coming in, {100 * sockets['within_25_ms']:.2f} % of packets were answered."
    return f"{first}\n\n{second}\n\n{note}"


def web(results: Results) -> str:
    speeds, live = results["times_real_time"], results["live"]
    rows = [[name, *_spread(spread, 1), _ratio(spread, speeds["Python"])] for name, spread in speeds.items()]
    note = (
        f"{results['audio_s']} s at 48 kHz, model `small`, {results['browser']}. "
        f"Live sound: load {live['load']:.0f} %, latency {live['latency']:.0f} ms, {live['underruns']:.0f} under-runs."
    )
    return f"{table(['times real time', 'median', 'least', 'most', '× baseline'], rows)}\n\n{note}"


def fleet(results: Results) -> str:
    hours = results["files"] * results["seconds"] / 3600
    rows = [
        [f"`unhiss {command}`", way, f"{taken:.0f}", f"{taken / hours:.1f}", f"{taken / ways['1 process']:.2f}"]
        for command, ways in results["work_s"].items() for way, taken in ways.items()
    ]  # fmt: skip
    opening = results["opening"]
    note = (
        f"{results['files']:,} files of {results['seconds']} s, one thread each, start-up excluded. A manifest of "
        f"{opening['clips']:,} clips opens in {opening['seconds']:.2f} s, and each takes {opening['bytes_each']:.0f} "
        "bytes of memory."
    )
    return f"{table(['command', 'where', 's', 's per hour of audio', '× baseline'], rows)}\n\n{note}"


def growth(results: dict[str, Any]) -> str:
    first = results["runs"][0]
    rows = [
        [
            f"{run['files']:,}", f"{run['seconds']:.1f}", f"{1000 * run['seconds'] / run['files']:.2f}",
            f"{run['peak_bytes'] / 1e6:.0f}",
            f"{run['seconds'] / run['files'] / (first['seconds'] / first['files']):.2f}",
        ]
        for run in results["runs"]
    ]  # fmt: skip
    note = f"`unhiss denoise` on files of {results['seconds']} s, `-j {results['jobs']}`; memory of the main process."
    return f"{table(['files', 's', 'ms a file', 'peak MB', '× baseline'], rows)}\n\n{note}"


def parallel(results: Results) -> str:
    rates = results["examples_per_s"]
    rows = [[name, *_spread(rate, 1), _ratio(rate, rates["one process"])] for name, rate in rates.items()]
    return table(["examples a second", "median", "least", "most", "× baseline"], rows) + (
        f"\n\n`{results['model']}`, each process on a core of its own, the same steps on the same examples."
    )


TABLES = {
    "startup": Table("Starting", "`python -c pass`", startup),
    "infer": Table("A live frame", "a fixed graph of nine matrix products", infer, "a causal model"),
    "cli": Table("A file, start to finish", "`unhiss denoise`", cli, "the peers' environment"),
    "folder": Table("A folder on two cores", "one process", folder),
    "web": Table("In a browser, one thread", "`unhiss.Denoiser` with one thread", web, "chromium, and `make web`"),
    "memory": Table("Memory of a long file", "the shortest recording", memory),
    "serve": Table("Live streams on one core", "the same streams one by one", serve, "`unhiss[serve]`"),
    "evaluate": Table("Scoring", "a plain loop in one process over the same packages", evaluate, "pairs"),
    "prepare": Table("Preparing a data set", "the librosa script that one writes first", prepare, "recordings"),
    "fleet": Table("Many files: processes, Ray, a large manifest", "one process", fleet),
    "growth": Table("More and more files", "a file of the smallest folder", growth),
    "train": Table("Training the U-Net", "a plain PyTorch loop in float32", train),
    "parallel": Table("Training on two processes", "one process on one core", parallel),
    "finetune": Table("Fine-tuning on one's own noise", "the installed model", finetune, "recordings"),
    "designs": Table("Designs of the causal model in training", "the one that ships, one tap", designs, "a data set"),
}


def _spread(spread: dict[str, float], places: int) -> list[str]:
    return [f"{spread[key]:,.{places}f}" for key in ("median", "min", "max")]


def _ratio(spread: dict[str, float], base: dict[str, float]) -> str:
    return f"{spread['median'] / base['median']:.2f}"


def section(name: str, folder: Path = RESULTS) -> str:
    """One table with its baseline, machine, day and command."""
    what, path = TABLES[name], folder / f"{name}.json"
    needs = f" (needs {what.needs}; see the top of the script)" if what.needs else ""
    again = f"Again: `python bench/{name}.py`{needs}."
    if not path.is_file():
        return f"## {what.title}\n\nNot measured yet. {again.replace('Again', 'To measure it')}"
    content = json.loads(path.read_text(encoding="utf-8"))
    machine = content["machine"]
    packages = [f"{package} {version}" for package, version in machine["packages"].items() if version]
    packages += [f"beside {package} {version}" for package, version in machine.get("peers", {}).items()]
    chip = f"{machine['gpu']} beside {machine['cpu']}" if "gpu" in machine else machine["cpu"]
    where = f"{chip}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}, {', '.join(packages)}"
    load = f"load {machine['load_before']} before" if machine.get("load_before") is not None else "load not known"
    line = f"Baseline: {what.baseline}. Measured {machine['date']} on {where}; {load}. {again}"
    return f"## {what.title}\n\n{what.rows(content['results'])}\n\n{line}"


def generated() -> str:
    strangers = {path.stem for path in RESULTS.glob("*.json")} - set(TABLES)
    if strangers:
        sys.exit(
            f"no table for bench/results of {', '.join(sorted(strangers))}; give each one in {Path(__file__).name}"
        )
    return "\n\n".join([HEAD.rstrip(), *map(section, TABLES)]) + "\n"


def main() -> None:
    new = generated()
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == new:
        return
    if "--check" in sys.argv[1:]:
        sys.exit("docs/benchmarks.md is not what bench/results give; run: make docs")
    PAGE.write_text(new, encoding="utf-8")
    print("benchmarks.md written")


if __name__ == "__main__":
    main()
