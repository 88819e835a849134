"""How many live streams one core serves, without a network and over sockets.

Run on an idle machine: python bench/serve.py [--model small] [--streams 150] [--sockets 50] [--seconds 60] [--no-save]
Without a network: every 16 ms each stream gets 16 ms of audio at 48 kHz, and a step of the batcher processes all of
them on one core; it is in time if it ends before the next. The cost of a stream, batched and one by one, is measured
before, in turns.
Over sockets: `unhiss serve` on one core, the clients on another, packets of 20 ms, streams out of phase. A delay is
from sending a packet until as many samples are back, so both ways are included; how many are answered within 25 ms of
their arrival is counted by the server. All results are compared with the offline result.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import machine
import numpy as np

import unhiss
from unhiss.errors import MissingExtra, need
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.models import load_causal
from unhiss.infer.stream import Stream

SOURCE = Path(__file__).parent.parent / "src"
RATE, HOP, PACKET = 48000, 768, 960
TOLERANCE = 1e-5  # to the offline result
ROUNDS = 12


def pin_to_core(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def measure_costs(model: CausalModel, count: int) -> dict[str, dict[str, float]]:
    """µs for a hop of one stream, batched and one by one, in turns."""
    from unhiss.serve.batcher import Batcher

    batchers = {"batched": [Batcher()], "one by one": [Batcher() for _ in range(count)]}
    slots = {
        name: [some[i % len(some)].add(Stream(RATE, 1, model)) for i in range(count)]
        for name, some in batchers.items()
    }  # fmt: skip
    block = 0.1 * np.random.default_rng(0).standard_normal((1, HOP), np.float32)
    costs: dict[str, list[float]] = {name: [] for name in batchers}
    for number in range(ROUNDS):
        for name, some in batchers.items():
            for slot in slots[name]:
                slot.put(block)
            started = time.perf_counter()
            for batcher in some:
                batcher.step()
            if number > 1:
                costs[name].append((time.perf_counter() - started) / count * 1e6)
            for slot in slots[name]:
                slot.read()
    return {name: machine.spread(values) for name, values in costs.items()}


def measure_real_time(model: CausalModel, count: int, seconds: float) -> dict[str, float]:
    """`count` streams in real time: the lengths of the steps, and how many ended too late."""
    from unhiss.serve.batcher import Batcher

    batcher = Batcher()
    slots = [batcher.add(Stream(RATE, 1, model)) for _ in range(count)]
    block = 0.1 * np.random.default_rng(0).standard_normal((1, HOP), np.float32)
    step_ms, late, due = [], 0, time.perf_counter()
    for _ in range(int(seconds * RATE / HOP)):
        due += HOP / RATE
        for slot in slots:
            slot.put(block)
        started = time.perf_counter()
        batcher.step()
        ended = time.perf_counter()
        for slot in slots:
            assert [np.shape(result) for result in slot.read()] == [(1, HOP)]
        step_ms.append(1000 * (ended - started))
        late += ended > due
        time.sleep(max(0.0, due - time.perf_counter()))
    return {"streams": count, "steps": len(step_ms), "late": late, **percentiles(step_ms)}


def percentiles(values_ms: Sequence[float] | np.ndarray) -> dict[str, float]:
    values = {"p50": np.percentile(values_ms, 50), "p99": np.percentile(values_ms, 99), "most": max(values_ms)}
    return {name: round(float(value), 2) for name, value in values.items()}


async def run_client(port: int, audio: np.ndarray, expected: np.ndarray, phase_s: float) -> tuple[list[float], float]:
    """One client: the delay of each packet in ms, and the largest difference to the offline result."""
    from websockets.asyncio.client import connect

    async with connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps({"type": "start", "rate": RATE}))
        latency = json.loads(await socket.recv())["latency"]["samples"]
        sent_at: list[float] = []

        async def send() -> None:
            started = time.perf_counter() + phase_s
            for number, start in enumerate(range(0, len(audio), PACKET)):
                await asyncio.sleep(max(0.0, started + number * PACKET / RATE - time.perf_counter()))
                sent_at.append(time.perf_counter())
                await socket.send(audio[start : start + PACKET].tobytes())

        sending = asyncio.create_task(send())
        parts, count, delays = [], 0, []
        while count < len(audio):
            part = np.frombuffer(await asyncio.wait_for(socket.recv(), 30), "<f4")
            parts.append(part)
            now, before, count = time.perf_counter(), count // PACKET, count + len(part)
            delays += [1000 * (now - sent_at[number]) for number in range(before, count // PACKET)]
        await sending
    result = np.concatenate(parts)[latency:]
    return delays, float(np.abs(result - expected[: len(result)]).max())


def share_in_time(port: int) -> float:
    """Share of all packets that were answered within 25 ms of their arrival, as counted by the server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        values = dict(line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[0] != "#")
    count = float(values["unhiss_stream_response_seconds_count"])
    return float(values['unhiss_stream_response_seconds_bucket{le="0.025"}']) / count if count else math.nan


def measure_sockets(name: str, count: int, seconds: float) -> dict[str, float]:
    audio = (0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE) // PACKET * PACKET)).astype("<f4")
    expected = unhiss.denoise(audio, RATE, model=name)
    command = [sys.executable, "-m", "unhiss", "serve", "--port", "0", "--model", name]
    command += ["--max-streams", str(count), "--max-streams-per-client", str(count)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=lambda: pin_to_core(0)
    )
    try:
        assert server.stdout
        port = int(server.stdout.readline().split()[1].rpartition(":")[2])
        pin_to_core(1)

        async def run_clients() -> list:
            phases = np.random.default_rng(1).uniform(0, PACKET / RATE, count)
            clients = (run_client(port, audio, expected, float(phase) + 0.5) for phase in phases)
            return await asyncio.gather(*clients, return_exceptions=True)

        outcomes = asyncio.run(run_clients())
        in_time = share_in_time(port)
    finally:
        server.terminate()
        server.wait(30)
    results = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]  # overload drops some
    if not results:
        return {"streams": count, "lost": count}
    delays = np.concatenate([delay for delay, _ in results])
    worst = max(error for _, error in results)
    return {
        "streams": count, "lost": count - len(results), "packets": len(delays),
        "wrong": sum(error > TOLERANCE for _, error in results), "worst_error": worst, "within_25_ms": in_time,
        **percentiles(delays),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small", help="a name or an .onnx file")
    parser.add_argument("--streams", type=int, default=150)
    parser.add_argument("--sockets", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    try:
        need("serve", "starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")
    except MissingExtra as error:
        print(f"skipped: {error}")
        return
    described = machine.describe("unhiss", "onnxruntime", "numpy", "starlette", "uvicorn", "websockets")
    sockets = measure_sockets(options.model, options.sockets, options.seconds)
    pin_to_core(0)
    model = load_causal(options.model, 1)
    costs = measure_costs(model, min(options.streams, 64))
    fits = int(1e6 * HOP / RATE / costs["batched"]["median"])
    runs = [
        measure_real_time(model, count, options.seconds)
        for count in dict.fromkeys((options.streams, max(1, fits * 8 // 10)))
    ]
    results = {
        "model": options.model,
        "seconds": options.seconds,
        "us_per_hop": costs,
        "live": runs,
        "sockets": sockets,
    }
    gain = costs["one by one"]["median"] / costs["batched"]["median"]
    print(f"a hop costs {costs['batched']['median']:.0f} µs batched, {gain:.2f} times that one by one")
    if "within_25_ms" in sockets:
        print(f"{100 * sockets['within_25_ms']:.2f} % of packets answered within 25 ms of their arrival")
    head = ["case", "streams", "late or lost", "ms p50", "p99", "most"]
    rows = [["steps", *(run[key] for key in ("streams", "late", "p50", "p99", "most"))] for run in runs]
    rows.append(["sockets", *(sockets.get(key, "-") for key in ("streams", "lost", "p50", "p99", "most"))])
    print(machine.table(head, rows))
    if not options.no_save:
        machine.save("serve", described, results)


if __name__ == "__main__":
    main()
