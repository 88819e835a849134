"""Clients that lie get a clear answer or are closed, and a good stream beside them sounds as if it were alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from liars import LIARS, Liar
from serving import Running, noise, serving, wait_until

import unhiss
from unhiss.serve.client import Client

ROUND_OFF = 1e-5
SHORT = {"hello_s": 0.8, "idle_s": 1.0, "slow_s": 1.0, "upload_s": 1.5, "body_mb": 20.0}
ROOM = {"streams": 250, "streams_per_client": 250, "files": 250, "files_per_client": 250}
PATIENCE_S = 30.0
GROWTH_MB = 400  # of 200 at a time: each may have 2 s of sound on either side, and Python keeps what it had


@pytest.fixture(scope="module")
def strict(leveller: Path) -> Iterator[Running]:
    with serving(leveller, **SHORT, **ROOM) as running:
        yield running


class Good(threading.Thread):
    """A talker in real time, until told to stop; then what it heard is compared with the offline result."""

    def __init__(self, client: Client, model: Path) -> None:
        super().__init__()
        self._client, self._model, self.done, self.problem = client, model, threading.Event(), "it did not end"
        self.start()

    def run(self) -> None:
        rng, said, heard = np.random.default_rng(7), [], []
        try:
            with self._client.stream(16000) as stream:
                while not self.done.is_set():
                    said.append(noise(rng, 1, 320))
                    heard.append(stream.push(said[-1]))
                    time.sleep(0.02)
                heard.append(stream.flush())
                late = stream.latency.samples
            found, sound = np.concatenate(heard, axis=1)[:, late:], np.concatenate(said, axis=1)
            worst = np.abs(found - unhiss.denoise(sound, 16000, model=self._model)).max()
            self.problem = "" if worst <= ROUND_OFF else f"it is off by {worst}"
        except Exception as error:
            self.problem = repr(error)


def end(good: Good) -> None:
    good.done.set()
    good.join(PATIENCE_S)
    assert not good.problem


def test_liars_are_answered_or_closed_and_disturb_nobody(strict: Running, leveller: Path) -> None:
    good = Good(strict.client, leveller)
    with ThreadPoolExecutor(len(LIARS)) as pool:
        ended = dict(zip(LIARS, pool.map(lambda liar: liar(strict.port, PATIENCE_S), LIARS), strict=True))
    assert {liar.__name__: how for liar, how in ended.items() if how not in ("answered", "closed")} == {}
    end(good)
    wait_until(lambda: not len(strict.service.streams) and not len(strict.service.files), "all are gone")
    assert not strict.service.conversations


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_two_hundred_liars_at_once_leave_memory_and_a_good_stream_alone(leveller: Path) -> None:
    with process(leveller) as (port, pid):
        client = Client(f"http://127.0.0.1:{port}", timeout_s=PATIENCE_S)
        assert crowd(port, LIARS, 28) == {}  # what is loaded on first use is no growth
        before, good, peak = resident_mb(pid), Good(client, leveller), Peak(pid)
        for _ in range(3):
            assert crowd(port, LIARS, 200) == {}
        end(good)
        assert peak.end() - before < GROWTH_MB
        assert resident_mb(pid) - before < GROWTH_MB / 2


def crowd(port: int, liars: tuple[Liar, ...], count: int) -> dict[str, str]:
    """So many at a time; those that ended otherwise than they should."""
    chosen = list(islice(cycle(liars), count))
    with ThreadPoolExecutor(count) as pool:
        ended = list(pool.map(lambda liar: (liar.__name__, liar(port, 2 * PATIENCE_S)), chosen))
    return {name: how for name, how in ended if how not in ("answered", "closed")}


class process:
    """`unhiss serve` as its users have it."""

    def __init__(self, model: Path) -> None:
        limits = {**ROOM, **{name: value for name, value in SHORT.items() if name in ("idle_s", "body_mb")}}
        words = [f"--max-{name.replace('_', '-')}={value}" for name, value in limits.items() if name != "idle_s"]
        self._words = [sys.executable, "-m", "unhiss", "serve", "--port=0", f"--model={model}", "--idle-s=1", *words]

    def __enter__(self) -> tuple[int, int]:
        self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout
        line = self._process.stdout.readline()
        return int(line.split()[1].rpartition(":")[2]), self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE_S) == 0
        assert self._process.stdout
        self._process.stdout.close()


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Peak(threading.Thread):
    """The most memory that a process had."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._most, self._going = pid, 0.0, True
        self.start()

    def run(self) -> None:
        while self._going:
            self._most = max(self._most, resident_mb(self._pid))
            time.sleep(0.05)

    def end(self) -> float:
        self._going = False
        self.join()
        return self._most
