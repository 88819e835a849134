"""Misbehaving clients get a clear error or are disconnected, and a good stream beside them is not disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_clients import BAD_CLIENTS
from serving import ROUND_OFF, TIMEOUT_S, RunningServer, noise, serving, wait_until

import unhiss
from unhiss.serve.client import Client

SHORT: dict[str, Any] = {"handshake_s": 1.0, "idle_s": 3.0, "send_s": 1.0, "upload_s": 2.0, "max_body_mb": 20.0}
MANY: dict[str, Any] = {
    "max_streams": 250,
    "max_streams_per_client": 250,
    "max_files": 250,
    "max_files_per_client": 250,
}
GROWTH_MB = 400  # of 200 at a time: each may buffer 2 s of audio on either side, and Python keeps what it allocated


@pytest.fixture(scope="module")
def strict_server(leveller: Path) -> Iterator[RunningServer]:
    """Limits in real time, so that they act without the test moving a clock."""
    with serving(leveller, clock=time.perf_counter, **SHORT, **MANY) as running:
        # A busy machine must not reject the good stream: that admission works is tested with a clock of its own.
        running.service.batcher.load.check = lambda: None  # type: ignore[method-assign]
        yield running


class GoodClient(threading.Thread):
    """A talker in real time until `stop`, which compares what it received with the offline result."""

    def __init__(self, client: Client, model: Path) -> None:
        super().__init__()
        self._client, self._model, self._stopping, self._problem = client, model, threading.Event(), "it did not end"
        self.start()

    def run(self) -> None:
        rng = np.random.default_rng(7)
        sent: list[np.ndarray] = []
        received: list[np.ndarray] = []
        try:
            with self._client.stream(16000) as stream:
                while not self._stopping.is_set():
                    sent.append(noise(rng, 1, 320))
                    received.append(stream.push(sent[-1]))
                    time.sleep(0.02)
                received.append(stream.flush())
                delay = stream.latency.samples
            result, audio = np.concatenate(received, axis=1)[:, delay:], np.concatenate(sent, axis=1)
            worst = np.abs(result - unhiss.denoise(audio, 16000, model=self._model)).max()
            self._problem = "" if worst <= ROUND_OFF else f"it is off by {worst}"
        except Exception as error:
            self._problem = repr(error)

    def stop(self) -> None:
        self._stopping.set()
        self.join(TIMEOUT_S)
        assert not self._problem


def test_bad_clients_are_rejected_or_closed_and_disturb_nobody(strict_server: RunningServer, leveller: Path) -> None:
    good = GoodClient(strict_server.client, leveller)
    assert run_clients(strict_server.port, len(BAD_CLIENTS)) == {}
    good.stop()
    service = strict_server.service
    wait_until(lambda: not len(service.streams) and not len(service.files), "all connections are closed")
    assert not service.connections


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_two_hundred_bad_clients_at_once_leave_memory_and_a_good_stream_alone(leveller: Path) -> None:
    with server_process(leveller) as (port, pid):
        client = Client(f"http://127.0.0.1:{port}", timeout_s=TIMEOUT_S)
        assert run_clients(port, len(BAD_CLIENTS)) == {}  # what is loaded on first use is not growth
        before, good, peak = resident_mb(pid), GoodClient(client, leveller), PeakMemory(pid)
        for _ in range(3):
            assert run_clients(port, 200) == {}
        good.stop()
        assert peak.stop() - before < GROWTH_MB
        assert resident_mb(pid) - before < GROWTH_MB / 2


def run_clients(port: int, count: int) -> dict[str, str]:
    """Run so many at a time. Returns those that ended in a wrong way."""
    clients = list(islice(cycle(BAD_CLIENTS), count))
    with ThreadPoolExecutor(count) as pool:
        outcomes = list(pool.map(lambda client: (client.__name__, client(port, TIMEOUT_S)), clients))
    return {name: outcome for name, outcome in outcomes if outcome not in ("rejected", "closed")}


@contextmanager
def server_process(model: Path) -> Iterator[tuple[int, int]]:
    """`unhiss serve` in a process of its own: port and process id."""
    options = {**MANY, "max_body_mb": SHORT["max_body_mb"], "idle_s": SHORT["idle_s"]}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "unhiss", "serve", "--port=0", f"--model={model}", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        yield int(process.stdout.readline().split()[1].rpartition(":")[2]), process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class PeakMemory(threading.Thread):
    """Samples the memory of a process; `stop` returns the peak in MB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._peak_mb, self._stopping = pid, 0.0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopping.wait(0.05):
            self._peak_mb = max(self._peak_mb, resident_mb(self._pid))

    def stop(self) -> float:
        self._stopping.set()
        self.join()
        return self._peak_mb
