"""How many live streams one core serves, without network and over sockets.

Run on an idle machine: python bench/serve.py [--model small] [--streams 150] [--sockets 50] [--seconds 60] [--no-save]
Without network: every 16 ms each stream gets 16 ms of sound at 48 kHz, and a tick serves them all on one core; it is
in time if it ends before the next. What a stream costs batched and one by one is measured in turns before.
Over sockets: `unhiss serve` on one core, the clients on another, packets of 20 ms, streams out of step. A delay is from
when a packet is sent to when as many samples are back, so the way there and back is in it; how many are answered within
25 ms of coming in, the server counts itself. All that comes back is held against the offline result.
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
from pathlib import Path

import machine
import numpy as np

import unhiss
from unhiss.errors import MissingExtra, need
from unhiss.infer.models import load_causal
from unhiss.infer.stream import Stream

SOURCE = Path(__file__).parent.parent / "src"
RATE, HOP, PACKET = 48000, 768, 960
SAME = 1e-5  # of the offline result
TURNS = 12


def pinned(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def seats(desk, model, count: int) -> list:  # type: ignore[no-untyped-def]
    return [desk.open(Stream(RATE, 1, model)) for _ in range(count)]


def ratio(model, count: int) -> dict[str, dict[str, float]]:  # type: ignore[no-untyped-def]
    """µs that a hop of one stream costs, batched and one by one, in turns."""
    from unhiss.serve.ticks import Desk

    desks = {"batched": Desk(), "one by one": Desk(batched=False)}
    places = {name: seats(desk, model, count) for name, desk in desks.items()}
    block = 0.1 * np.random.default_rng(0).standard_normal((1, HOP), np.float32)
    taken: dict[str, list[float]] = {name: [] for name in desks}
    for turn in range(TURNS):
        for name, desk in desks.items():
            for seat in places[name]:
                seat.put(block)
            begun = time.perf_counter()
            desk.tick()
            if turn > 1:
                taken[name].append((time.perf_counter() - begun) / count * 1e6)
            for seat in places[name]:
                seat.fetch()
    return {name: machine.spread(values) for name, values in taken.items()}


def in_time(model, count: int, seconds: float) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """`count` streams in real time: how long ticks took, and how many were late."""
    from unhiss.serve.ticks import Desk

    desk = Desk()
    places = seats(desk, model, count)
    block = 0.1 * np.random.default_rng(0).standard_normal((1, HOP), np.float32)
    took, late, due = [], 0, time.perf_counter()
    for _ in range(int(seconds * RATE / HOP)):
        due += HOP / RATE
        for seat in places:
            seat.put(block)
        begun = time.perf_counter()
        desk.tick()
        ended = time.perf_counter()
        for seat in places:
            assert sum(part.shape[1] for part in seat.fetch()) == HOP
        took.append(1000 * (ended - begun))
        late += ended > due
        time.sleep(max(0.0, due - time.perf_counter()))
    facts = {"p50": np.percentile(took, 50), "p99": np.percentile(took, 99), "most": max(took)}
    return {"streams": count, "ticks": len(took), "late": late, **{k: round(float(v), 2) for k, v in facts.items()}}


async def talk(port: int, sound: np.ndarray, wanted: np.ndarray, phase: float) -> tuple[list[float], float]:
    """One client: ms of delay of each packet, and how far what came back is from the offline result."""
    from websockets.asyncio.client import connect

    async with connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps({"type": "hello", "rate": RATE}))
        late = json.loads(await socket.recv())["latency"]["samples"]
        sent_at: list[float] = []

        async def say() -> None:
            begun = time.perf_counter() + phase
            for number, start in enumerate(range(0, len(sound), PACKET)):
                await asyncio.sleep(max(0.0, begun + number * PACKET / RATE - time.perf_counter()))
                sent_at.append(time.perf_counter())
                await socket.send(sound[start : start + PACKET].tobytes())

        saying = asyncio.create_task(say())
        parts, count, delays = [], 0, []
        while count < len(sound):
            part = np.frombuffer(await asyncio.wait_for(socket.recv(), 30), "<f4")
            parts.append(part)
            now, before, count = time.perf_counter(), count // PACKET, count + len(part)
            delays += [1000 * (now - sent_at[number]) for number in range(before, count // PACKET)]
        await saying
    found = np.concatenate(parts)[late:]
    return delays, float(np.abs(found - wanted[: len(found)]).max())


def answered_in_time(port: int) -> float:
    """Share of all packets whose answer was on its way 25 ms after they came in, as the server counts itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        facts = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    count = float(facts["unhiss_answer_seconds_count"])
    return float(facts['unhiss_answer_seconds_bucket{le="0.025"}']) / count if count else math.nan


def over_sockets(name: str, count: int, seconds: float) -> dict[str, float]:
    sound = (0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE) // PACKET * PACKET)).astype("<f4")
    wanted = unhiss.denoise(sound, RATE, model=name)
    words = [sys.executable, "-m", "unhiss", "serve", "--port", "0", "--model", name]
    words += ["--max-streams", str(count), "--max-streams-per-client", str(count)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=lambda: pinned(0))
    try:
        assert server.stdout
        port = int(server.stdout.readline().split()[1].rpartition(":")[2])
        pinned(1)

        async def all_talk() -> list:
            phases = np.random.default_rng(1).uniform(0, PACKET / RATE, count)
            talks = (talk(port, sound, wanted, float(phase) + 0.5) for phase in phases)
            return await asyncio.gather(*talks, return_exceptions=True)

        told = asyncio.run(all_talk())
        prompt = answered_in_time(port)
    finally:
        server.terminate()
        server.wait(30)
    answers = [one for one in told if not isinstance(one, BaseException)]  # an overloaded server drops some
    if not answers:
        return {"streams": count, "lost": count}
    delays = np.concatenate([delay for delay, _ in answers])
    worst = max(error for _, error in answers)
    facts = {"p50": np.percentile(delays, 50), "p99": np.percentile(delays, 99), "most": delays.max()}
    return {
        "streams": count, "lost": count - len(answers), "packets": len(delays),
        "wrong": sum(error > SAME for _, error in answers), "worst_error": worst, "within_25_ms": prompt,
        **{key: round(float(value), 2) for key, value in facts.items()},
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
        print(f"left out: {error}")
        return
    described = machine.describe("unhiss", "onnxruntime", "numpy", "starlette", "uvicorn", "websockets")
    sockets = over_sockets(options.model, options.sockets, options.seconds)
    pinned(0)
    model = load_causal(options.model, 1)
    costs = ratio(model, min(options.streams, 64))
    fits = int(1e6 * HOP / RATE / costs["batched"]["median"])
    runs = [
        in_time(model, count, options.seconds) for count in dict.fromkeys((options.streams, max(1, fits * 8 // 10)))
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
        print(f"{100 * sockets['within_25_ms']:.2f} % of packets answered within 25 ms of coming in")
    head = ["case", "streams", "late or lost", "ms p50", "p99", "most"]
    rows = [["ticks", *(run[key] for key in ("streams", "late", "p50", "p99", "most"))] for run in runs]
    rows.append(["sockets", *(sockets.get(key, "-") for key in ("streams", "lost", "p50", "p99", "most"))])
    print(machine.table(head, rows))
    if not options.no_save:
        machine.save("serve", described, results)


if __name__ == "__main__":
    main()
