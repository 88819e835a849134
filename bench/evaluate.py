"""`unhiss evaluate` on all cores compared with a plain loop over the same packages in one process with one thread.

Run on an idle machine: python bench/evaluate.py PAIRS [--pairs 64] [--model NAME ...] [--jobs 2] [--no-save]
Both score the noisy input and each system with every metric that needs no text; the start of processes is included,
the page is not. The loop calls pesq, pystoi and speechmos as their READMEs do, and reads each pair once. speechmos has
no setting for threads, and onnxruntime also uses cores outside the affinity of the process; so its sessions are
replaced by ones with one thread, and the number of cores that the loop used is saved, to show that it was one.
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
from unhiss.score import report
from unhiss.score.pairs import Pair, find_pairs
from unhiss.score.registry import select_metrics
from unhiss.score.systems import System

GOAL = 0.6  # of the time of the loop, on two cores


def time_plain_loop(systems: list[System], pairs: list[Pair]) -> tuple[float, float]:
    """Seconds of the loop in this process with one thread, and the number of cores it used."""
    import numpy as np
    import pesq
    import pystoi
    from speechmos import dnsmos

    from unhiss.dsp.resampling import resample
    from unhiss.score import metrics

    _one_thread(dnsmos)
    loaded = [(system.name, system.load()) for system in systems]
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    for pair in pairs:
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
            metrics.log_spectral_distance(out, clean, rate), metrics.lag(out, noisy, rate)
            metrics.loudness_change_db(out, clean, rate)
            if run is not None:
                of_clean = resample(run(clean, rate), rate, 16_000)
                pesq.pesq(16_000, r, of_clean, "wb"), metrics.si_sdr(of_clean, r)
                metrics.attenuation_db(run(noisy - clean, rate), noisy - clean)
    elapsed_s = time.perf_counter() - start_s
    return elapsed_s, (time.process_time() - start_cpu_s) / elapsed_s


def _one_thread(speechmos: ModuleType) -> None:
    """Replace the sessions of speechmos, which use all cores, by ones with one thread."""
    import numpy as np
    import onnxruntime

    from unhiss.score import dnsmos

    speechmos.run(np.zeros(16_000, np.float32), 16_000)  # creates the sessions
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for attribute, name in (("onnx_sess", dnsmos.P835), ("p808_onnx_sess", dnsmos.P808)):
        setattr(speechmos.dnsmos, attribute, onnxruntime.InferenceSession(str(dnsmos.model_file(name)), options))


def time_evaluate(systems: list[System], pairs: list[Pair], jobs: int) -> float:
    names = select_metrics("all", clean=True, text=False, recogniser=False)
    start_s = time.perf_counter()
    failures = report.evaluate(systems, pairs, metrics=names, jobs=jobs).failures
    if failures:
        sys.exit(f"{len(failures)} rows failed: {failures[0].failure}")
    return time.perf_counter() - start_s


def main() -> None:
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when numpy is imported: restart with it
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
    pairs = find_pairs(options.folder)[: options.pairs]
    evaluate_s = time_evaluate(systems, pairs, options.jobs)
    loop_s, loop_cores = time_plain_loop(systems, pairs)
    rows = [
        ["plain loop", f"{loop_s:.1f}", "1.00"],
        [f"unhiss evaluate -j {options.jobs}", f"{evaluate_s:.1f}", f"{evaluate_s / loop_s:.2f}"],
    ]
    print(machine.table([f"{len(pairs)} pairs x {len(systems)} systems", "s", "of the loop"], rows))
    print(f"the loop used {loop_cores:.2f} cores")
    if not options.no_save:
        settings = {
            "pairs": len(pairs),
            "systems": [system.name for system in systems],
            "jobs": options.jobs,
            "goal": GOAL,
            "loop_s": loop_s,
            "loop_cores": round(loop_cores, 2),
            "evaluate_s": evaluate_s,
        }
        machine.save("evaluate", described, settings | {"ratio": evaluate_s / loop_s})


if __name__ == "__main__":
    main()
