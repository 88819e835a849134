"""Write docs/benchmarks.md from bench/results/*.json: every measured speed, beside a baseline of the same run.

Run: python scripts/update_benchmarks.py [--check]
With --check nothing is written; the exit code is 1 when the page differs from its sources.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_tables import designs, extremes, speech_probability, talkers, variations
from update_readme import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "bench" / "results"
HEAD = """# Measured speed

`make generated` writes this page from `bench/results/*.json`. `make bench` measures all of it again, on an idle
machine; a script whose requirements are missing says which, and is left out. A time on one machine says little about
another, so each table has a baseline that was measured in the same run, in turns: compare the ratios.
"""
Results = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """One script of bench/: its title, its baseline, and its results as a Markdown table."""

    title: str
    baseline: str
    rows: Callable[[Results], str]
    needs: str = ""  # what the script needs beside a clone


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
    return f"{table(['processes', 's', 'least', 'most', 'start-up s', 'speed-up'], rows)}\n\n{note}"


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
    for name, model in results.items():
        costs = model["us_per_frame"]
        rows += [
            [f"`{name}`", case, *_spread(cost, 0), _ratio(cost, costs["reference graph"])]
            for case, cost in costs.items()
        ]
        notes.append(f"`unhiss denoise --model {name}` on one core: {model['file_times_real_time']:.0f} × real time.")
    head = ["model", "case", "µs a frame", "least", "most", "× baseline"]
    return table(head, rows, left=2) + "\n\n" + " ".join(notes)


def train(results: Results) -> str:
    loops = {name: rates for name, rates in results.items() if isinstance(rates, dict) and "ratio" in rates}
    rows = [[f"`{name}`", *_spread(rates, 1), f"{rates['ratio']:.2f}"] for name, rates in loops.items()]
    frames = table([f"training loop on {results['device']}", "frames/s", "least", "most", "× baseline"], rows)
    rows = [[f"`{name}`", *_spread(rates, 1)] for name, rates in results["causal_s_per_s"].items()]
    return f"{frames}\n\n{table(['causal model, at 48 kHz', 's of sound a second', 'least', 'most'], rows)}"


def prepare(results: Results) -> str:
    seconds = results["seconds"]
    base = seconds["plain librosa script"]["median"]
    rows = [[name, *_spread(spread, 1), f"{base / spread['median']:.2f}"] for name, spread in seconds.items()]
    clips = results["clips"]
    note = f"{clips['speech']:,} clips of speech, {clips['noise']:,} of noise, {results['pairs']:,} pairs."
    return f"{table(['program', 's', 'least', 'most', 'speed-up'], rows)}\n\n{note}"


def finetune(results: Results) -> str:
    rows = [
        [name, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"]
        for name, (before, after) in ((name, values.values()) for name, values in results["si_sdr"].items())
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
        [f"a frame of a stream, {name}, µs", *_spread(cost, 0), f"{base / cost['median']:.2f}"]
        for name, cost in costs.items()
    ]
    first = table(["without network, one core", "median", "least", "most", "speed-up"], rows)
    live = [
        [
            f"{run['streams']} streams, a batch",
            run["late"],
            f"{run['steps']:,}",
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
        f"Model `{results['model']}`, 48 kHz, {results['seconds']:g} s. A batch is due every 16 ms. A packet of 20 ms "
        "is timed from sending it until the same number of samples is received; a stream that differs from the offline "
        "result is wrong, a stream that the server closed is lost."
    )
    if "within_25_ms" in sockets:
        note += f" {100 * sockets['within_25_ms']:.2f} % of packets were answered within 25 ms of arrival."
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


def peers(results: Results) -> str:
    costs = results.get("cpu_s_per_s")
    if not costs:
        return "Not measured yet."
    rows = [[name, *_spread(cost, 4), _ratio(cost, costs["small, file"])] for name, cost in costs.items()]
    note = "10 s of audio; start-up, decoding and resampling excluded. Quality and size: [peers](models/peers.md)."
    return f"{table(['CPU s per s of audio', 'median', 'least', 'most', '× baseline'], rows)}\n\n{note}"


TABLES = {
    "startup": Table("Starting", "`python -c pass`", startup),
    "infer": Table("A live frame", "a fixed graph of nine matrix products", infer, "a causal model"),
    "cli": Table("A file, start to finish", "`unhiss denoise`", cli, "the peers' environment"),
    "peers": Table("Other denoisers, one core", "`small` on a file", peers, "the peers' environments"),
    "folder": Table("A folder on two cores", "one process", folder),
    "web": Table("In a browser, one thread", "`unhiss.Denoiser` with one thread", web, "chromium, and `make web`"),
    "memory": Table("Memory of a long file", "the shortest recording", memory),
    "serve": Table("Live streams on one core", "the same streams one by one", serve, "`unhiss[serve]`"),
    "evaluate": Table("Scoring", "a plain loop in one process over the same packages", evaluate, "pairs"),
    "prepare": Table("Preparing a data set", "a plain librosa script", prepare, "recordings"),
    "fleet": Table("Many files: processes, Ray, a large manifest", "one process", fleet),
    "growth": Table("More and more files", "a file of the smallest folder", growth),
    "train": Table("Training the U-Net", "a plain PyTorch loop in float32", train),
    "parallel": Table("Training on two processes", "one process on one core", parallel),
    "finetune": Table("Fine-tuning on one's own noise", "the installed model", finetune, "recordings"),
    "talkers": Table("What quiet and high voices lose", "the installed model", talkers, "recordings, and pyworld"),
    "extremes": Table("Far noisier and far cleaner", "the noisy input", extremes, "recordings"),
    "speech_probability": Table(
        "Whether somebody speaks", "Silero's detector", speech_probability, "recordings, and a model that tells"
    ),
    "designs": Table("Designs of the causal model in training", "the shipped one", designs, "a data set"),
    "variations": Table("What each variation of scenes brings", "all of them", variations, "a data set"),
}


def _spread(spread: dict[str, float], decimals: int) -> list[str]:
    return [f"{spread[key]:,.{decimals}f}" for key in ("median", "min", "max")]


def _ratio(spread: dict[str, float], base: dict[str, float]) -> str:
    return f"{spread['median'] / base['median']:.2f}"


def section(name: str, folder: Path = RESULTS) -> str:
    """One table with its baseline, machine, day and command."""
    script, path = TABLES[name], folder / f"{name}.json"
    needs = f" (needs {script.needs}; see the top of the script)" if script.needs else ""
    again = f"Again: `python bench/{name}.py`{needs}."
    if not path.is_file():
        return f"## {script.title}\n\nNot measured yet. {again.replace('Again', 'To measure it')}"
    content = json.loads(path.read_text(encoding="utf-8"))
    machine = content["machine"]
    packages = [f"{package} {version}" for package, version in machine["packages"].items() if version]
    packages += [f"beside {package} {version}" for package, version in machine.get("peers", {}).items()]
    chip = f"{machine['gpu']} beside {machine['cpu']}" if "gpu" in machine else machine["cpu"]
    where = f"{chip}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}, {', '.join(packages)}"
    load = f"load {machine['load_before']} before" if machine.get("load_before") is not None else "load unknown"
    line = f"Baseline: {script.baseline}. Measured {machine['date']} on {where}; {load}. {again}"
    return f"## {script.title}\n\n{script.rows(content['results'])}\n\n{line}"


def generated() -> str:
    unknown = {path.stem for path in RESULTS.glob("*.json")} - set(TABLES)
    if unknown:
        sys.exit(f"no table for bench/results of {', '.join(sorted(unknown))}; add each one to {Path(__file__).name}")
    return "\n\n".join([HEAD.rstrip(), *map(section, TABLES)]) + "\n"


def main() -> None:
    new = generated()
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == new:
        return
    if "--check" in sys.argv[1:]:
        sys.exit("docs/benchmarks.md differs from bench/results; run: make generated")
    PAGE.write_text(new, encoding="utf-8")
    print("benchmarks.md written")


if __name__ == "__main__":
    main()
