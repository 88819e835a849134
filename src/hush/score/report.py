"""Any number of systems over the same pairs: run each, score each output, keep every row."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from hush.errors import ConfigError, DataError, HushError, need
from hush.score.dnsmos import model_file
from hush.score.metrics import METRICS, measure
from hush.score.pairs import Pair

System = Callable[[np.ndarray, int], np.ndarray]  # (audio (T,) or (C, T) float32, rate) -> same shape
NOISY = "noisy input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one system reached on one pair.

    scores: every key of METRICS, nan where there is no value. failure: why nothing could be scored,
    empty if it could. undefined: one line for each metric that has no finite value here.
    """

    system: str
    pair: Pair
    scores: dict[str, float]
    failure: str = ""
    undefined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, by system (the noisy input first) and then by pair, in the order they were given."""

    systems: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def failures(self) -> list[Row]:
        return [row for row in self.rows if row.failure]

    @property
    def undefined(self) -> list[Row]:
        return [row for row in self.rows if row.undefined]


def evaluate(
    systems: Mapping[str, System],
    pairs: Sequence[Pair],
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score the noisy input and each system on each pair; the report is the same for any `jobs`.

    systems: name -> callable (audio, rate) -> audio of the same shape. They run in this process, one
    after the other; with jobs > 1 the metrics run in that many spawned processes meanwhile (so a script
    needs its `if __name__ == "__main__":`). progress(done, total) is called after each row.
    A pair or a system that fails makes a row with its failure, and the rest goes on.
    Raises MissingExtra without the packages of the extra `eval`.
    """
    if NOISY in systems:
        raise ConfigError(f"a system cannot be called {NOISY!r}: that row is always there; rename it")
    need("eval", "pesq", "pystoi")
    model_file()
    everything: dict[str, System] = {NOISY: lambda audio, rate: audio, **systems}
    names = list(everything)
    rows: dict[tuple[int, int], Row] = {}
    total = len(names) * len(pairs)
    for place, row in _rows(everything, pairs, jobs):
        rows[place] = row
        if progress is not None:
            progress(len(rows), total)
    return Report(tuple(names), tuple(rows[place] for place in sorted(rows)))


def _rows(systems: Mapping[str, System], pairs: Sequence[Pair], jobs: int) -> Iterator[tuple[tuple[int, int], Row]]:
    """Rows as they get done, each with its place (system, pair)."""
    waiting: deque[tuple[tuple[int, int], str, Pair, Future[Any]]] = deque()
    with _executor(jobs) as executor:
        for column, pair in enumerate(pairs):
            loaded = _attempt(pair.load)
            for line, (name, system) in enumerate(systems.items()):
                future = _submit(executor, name, system, loaded)
                waiting.append(((line, column), name, pair, future))
                # A few outputs ahead of the scoring are enough; more would only fill the memory.
                while len(waiting) > 2 * jobs:
                    yield _finish(*waiting.popleft())
        while waiting:
            yield _finish(*waiting.popleft())


def _submit(executor: Executor, name: str, system: System, loaded: Any) -> Future[Any]:
    """The scoring of one output, or a future that already holds what went wrong before it."""
    if not isinstance(loaded, Exception):
        noisy, clean, rate = loaded
        output = _attempt(lambda: np.asarray(system(noisy.copy(), rate), np.float32))
        if not isinstance(output, Exception):
            try:
                return executor.submit(measure, output, clean, rate)
            except BrokenProcessPool as error:
                raise _died() from error
        loaded = output
    future: Future[Any] = Future()
    future.set_exception(loaded)
    return future


def _attempt(function: Callable[[], Any]) -> Any:
    """Its result, or the exception it raised: a system is foreign code, and its failure is a finding."""
    try:
        return function()
    except Exception as error:
        return error


def _finish(place: tuple[int, int], name: str, pair: Pair, future: Future[Any]) -> tuple[tuple[int, int], Row]:
    try:
        values, reasons = future.result()
    except BrokenProcessPool as error:
        raise _died() from error
    except Exception as error:
        text = str(error) if isinstance(error, HushError) else f"{type(error).__name__}: {error}"
        nothing = dict.fromkeys(METRICS, float("nan"))
        return place, Row(system=name, pair=pair, scores=nothing, failure=" ".join(text.split()))
    return place, Row(system=name, pair=pair, scores=values, undefined=tuple(reasons))


def _died() -> DataError:
    return DataError("a scoring process was killed (out of memory?); run again with fewer processes: -j 1")


class _Here(Executor):
    """The executor for one job: no process to start, nothing to wait for."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def _executor(jobs: int) -> Iterator[Executor]:
    if jobs <= 1:
        yield _Here()
        return
    # Spawned, not forked: the systems may have started threads, and a fork would copy their locks.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_ignore_interrupt)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to answer
