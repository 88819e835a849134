"""`unhiss evaluate` on all cores against a plain loop over the same packages in one process with one thread.

Run on an idle machine: python bench/evaluate.py PAIRS [--pairs 64] [--model NAME ...] [--jobs 2] [--no-save]
Both score the noisy input and each system with every metric that needs no text; the start of processes is included,
the page is not. The loop calls pesq, pystoi and speechmos as their READMEs do, and reads each pair once. speechmos has
no setting for threads, and onnxruntime places its own on cores that the process was not given; so its sessions are
opened again with one thread, and how many cores the loop took is written down, to show that it was one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType

import machine

from unhiss.cli.evaluate import _systems
from unhiss.score import measure, report
from unhiss.score.pairs import Pair, pairs
from unhiss.score.systems import System

GOAL = 0.6  # of the time of the loop, on two cores


def plain(systems: list[System], chosen: list[Pair]) -> tuple[float, float]:
    """Seconds of the loop, in this process with one thread, and how many cores it took."""
    import numpy as np
    import pesq
    import pystoi
    from speechmos import dnsmos

    from unhiss.dsp.resampling import resample
    from unhiss.score import metrics, signals

    _one_thread(dnsmos)
    loaded = [(system.name, system.load()) for system in systems]
    began, spent = time.perf_counter(), time.process_time()
    for pair in chosen:
        noisy, clean, rate = pair.load()
        assert clean is not None
        for _, run in [("noisy", None), *loaded]:
            out = noisy if run is None else run(noisy, rate)
            e, r, n = (resample(audio, rate, 16_000) for audio in (out, clean, noisy))
            for mode in ("wb", "nb"):
                pesq.pesq(16_000, r, e, mode)
            for extended in (False, True):
                pystoi.stoi(r, e, 16_000, extended=extended)
            dnsmos.run(np.clip(e, -1, 1), 16_000)
            metrics.si_sdr(e, r), metrics.snr(e, r), metrics.snr(n, r)
            signals.log_spectral_distance(out, clean, rate), signals.lag(out, noisy, rate)
            signals.loudness_change_db(out, clean, rate)
            if run is not None:
                of_clean = resample(run(clean, rate), rate, 16_000)
                pesq.pesq(16_000, r, of_clean, "wb"), metrics.si_sdr(of_clean, r)
                signals.attenuation_db(run(noisy - clean, rate), noisy - clean)
    seconds = time.perf_counter() - began
    return seconds, (time.process_time() - spent) / seconds


def _one_thread(speechmos: ModuleType) -> None:
    """Exchange the sessions that speechmos holds, and has opened for all cores, for ones with one thread."""
    import numpy as np
    import onnxruntime

    from unhiss.score import dnsmos

    speechmos.run(np.zeros(16_000, np.float32), 16_000)  # opens them
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for held, name in (("onnx_sess", dnsmos.P835), ("p808_onnx_sess", dnsmos.P808)):
        setattr(speechmos.dnsmos, held, onnxruntime.InferenceSession(str(dnsmos.model_file(name)), options))


def ours(systems: list[System], chosen: list[Pair], jobs: int) -> float:
    names = measure.chosen("all", clean=True, text=False, recogniser=False)
    began = time.perf_counter()
    failed = report.evaluate(systems, chosen, metrics=names, jobs=jobs).failures
    if failed:
        sys.exit(f"{len(failed)} rows failed: {failed[0].failure}")
    return time.perf_counter() - began


def main() -> None:
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when numpy is loaded: begin again with it
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict.fromkeys(report.THREADS, "1")})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(os.environ.get("UNHISS_DATA", "../shared/data")) / "dev"
    )
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--model", action="append", help="a system as unhiss evaluate takes it; three by default")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    described = machine.describe("pesq", "pystoi", "speechmos", "onnxruntime", "numpy")
    systems = _systems(tuple(options.model or ("small", "rced", "copy=cmd:cp {in} {out}")))
    chosen = pairs(options.folder)[: options.pairs]
    spread = ours(systems, chosen, options.jobs)
    loop, loop_cores = plain(systems, chosen)
    rows = [
        ["plain loop", f"{loop:.1f}", "1.00"],
        [f"unhiss evaluate -j {options.jobs}", f"{spread:.1f}", f"{spread / loop:.2f}"],
    ]
    print(machine.table([f"{len(chosen)} pairs x {len(systems)} systems", "s", "of the loop"], rows))
    print(f"the loop took {loop_cores:.2f} cores")
    if not options.no_save:
        facts = {
            "pairs": len(chosen),
            "systems": [system.name for system in systems],
            "jobs": options.jobs,
            "goal": GOAL,
            "loop_s": loop,
            "loop_cores": round(loop_cores, 2),
            "evaluate_s": spread,
        }
        machine.save("evaluate", described, facts | {"ratio": spread / loop})


if __name__ == "__main__":
    main()
