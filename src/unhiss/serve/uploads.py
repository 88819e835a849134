"""Recordings denoised in processes of their own, few at a time, and read along while they are made."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from unhiss.errors import UnhissError
from unhiss.serve import work
from unhiss.serve.limits import Limits
from unhiss.serve.protocol import Refusal

PIECE = 1 << 16  # bytes of an answer at a time
LOOK_S = 0.02  # how often what grows is looked at


class Folder:
    """A request's own place on the disk: what was sent, and what is made of it. `with Folder() as folder`."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="unhiss-serve-"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Facts:
    """Of an answer that is being made: bytes in all, Hz, channels."""

    size: int
    rate: int
    channels: int


class Workers:
    """`limits.workers` processes. One that dies, of a file made to kill it, costs the files in work and no more."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool = self._made()

    def _made(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context(
            "spawn"
        )  # never a copy of this process, whose threads would be half alive
        return ProcessPoolExecutor(self._limits.workers, context, initializer=work.begin)

    def start(self, source: Path, folder: Path, wish: work.Wish) -> Future[None]:
        try:
            return self._pool.submit(work.denoise, source, folder, wish, self._limits)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._made()
            return self._pool.submit(work.denoise, source, folder, wish, self._limits)

    def end(self) -> None:
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)


async def facts(task: Future[None], folder: Path) -> Facts:
    """What the answer will be, once that is known. Raises Refusal."""
    while not task.done() and not (folder / work.FACTS).is_file():
        await asyncio.sleep(LOOK_S)
    if task.done():
        _check(task)
    size, rate, channels = (folder / work.FACTS).read_text().split()
    return Facts(int(size), int(rate), int(channels))


async def pieces(task: Future[None], folder: Path) -> AsyncIterator[bytes]:
    """The answer, as it is made. Raises Refusal if that fails half-way."""
    with (folder / work.SOUND).open("rb") as file:
        while True:
            ended = task.done()  # asked before the read, so that the read after the end finds all
            piece = file.read(PIECE)
            if piece:
                yield piece
            elif ended:
                break
            else:
                await asyncio.sleep(LOOK_S)
    _check(task)


def _check(task: Future[None]) -> None:
    try:
        task.result()
    except Refusal:
        raise
    except BrokenProcessPool:
        raise Refusal(
            500, "the process at work on this recording died; the recording may be damaged", "worker"
        ) from None
    except UnhissError as error:
        raise Refusal(422, str(error), "recording") from None


class Meter:
    """Counts what an upload brings, and ends it when it is too much or takes too long."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._count, self._begun = limits, 0, time.monotonic()

    def add(self, size: int) -> None:
        self._count += size
        self._limits.check_size(self._count)
        if time.monotonic() - self._begun > self._limits.upload_s:
            raise Refusal(408, f"the upload took more than {self._limits.upload_s:g} s; send less at a time", "slow")
