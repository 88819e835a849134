"""Any number of systems over the same recordings: run each, score each output, keep every row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from unhiss.errors import AudioError, ConfigError
from unhiss.fleet.mapping import Fleet, map_items
from unhiss.fleet.processes import WorkerSetup
from unhiss.score import scorer
from unhiss.score.cache import Cache, key, versions
from unhiss.score.measure import check_packages
from unhiss.score.metrics import DEFAULT
from unhiss.score.pairs import Pair
from unhiss.score.scorer import Row
from unhiss.score.systems import System
from unhiss.score.words import Recogniser

NOISY = "noisy input"
PRELOAD = ("unhiss.score.scorer",)  # by the fork server, once for all processes
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, by system (the noisy input first) and then by recording, in the order they were given."""

    systems: tuple[str, ...]
    rows: tuple[Row, ...]
    metrics: tuple[str, ...] = field(default=DEFAULT)

    @property
    def failures(self) -> list[Row]:
        return [row for row in self.rows if row.failure]

    @property
    def undefined(self) -> list[Row]:
        return [row for row in self.rows if row.undefined]

    @property
    def other_length(self) -> list[Row]:
        return [row for row in self.rows if row.extra]

    def of(self, system: str) -> list[Row]:
        return [row for row in self.rows if row.system == system]


def evaluate(
    systems: Sequence[System],
    pairs: Sequence[Pair],
    *,
    metrics: Sequence[str] = DEFAULT,
    recogniser: Recogniser | None = None,
    jobs: int = 1,
    ray: str | None = None,
    folder: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Score the noisy input and each system on each recording; the report is the same for any `jobs`.

    metrics: names of METRICS (see measure.chosen). jobs, ray: see Fleet. folder: where rows are kept as they get
    done, and taken from where nothing of theirs has changed. progress(done, total) is called after each row.
    A recording or a system that fails makes a row with its failure, and the rest goes on.
    Raises MissingExtra without the packages of the extra `eval`, ConfigError for two systems of one name.
    """
    names = [NOISY, *(system.name for system in systems)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"two rows would be called {min(twice)!r} (the first row is {NOISY!r}); rename one")
    check_packages(metrics)
    cache = Cache(folder) if folder else None
    places = [(name, number) for name in names for number in range(len(pairs))]
    keys = dict(zip(places, _keys(systems, pairs, metrics, recogniser), strict=True)) if cache else {}
    rows: dict[tuple[str, int], Row] = {}
    for place in places:
        if cache and (kept := cache.get(keys[place], pairs[place[1]], place[0])):
            rows[place] = kept
    progress(len(rows), len(places))
    # The longest first, so that no process is left alone with it at the end; its systems after each other.
    todo = sorted((place for place in places if place not in rows), key=lambda place: -_size(pairs[place[1]]))
    for place, row in _done(todo, pairs, Fleet(jobs, ray), (tuple(systems), tuple(metrics), recogniser)):
        rows[place] = row
        if cache:
            cache.add(keys[place], row)
        progress(len(rows), len(places))
    return Report(tuple(names), tuple(rows[place] for place in places), tuple(metrics))


def _done(
    todo: Sequence[tuple[str, int]], pairs: Sequence[Pair], fleet: Fleet, given: tuple
) -> Iterator[tuple[tuple[str, int], Row]]:
    scorer.begin(*given)
    items = [(number, pairs[number], name) for name, number in todo]
    with single_threads():
        setup = WorkerSetup(function=scorer.begin, args=given, preload=PRELOAD)
        for index, row in map_items(scorer.row, items, fleet, setup, is_failure=_failed):
            yield todo[index], row


def _failed(row: Row) -> bool:
    return bool(row.failure)


def _keys(
    systems: Sequence[System], pairs: Sequence[Pair], metrics: Sequence[str], recogniser: Recogniser | None
) -> Iterator[str]:
    """A key for each system and recording; one that cannot be read gets one too, and fails when it is scored."""
    measured = [*metrics, str(versions()), recogniser.identity if recogniser and "wer" in metrics else ""]
    digests = []
    for pair in pairs:
        try:
            digests.append(pair.digest)
        except (OSError, AudioError):
            digests.append("")
    for identity in (NOISY, *(system.identity for system in systems)):
        for digest in digests:
            yield key(digest, identity, measured)


def _size(pair: Pair) -> int:
    try:
        return pair.size
    except OSError:
        return 0


@contextmanager
def single_threads() -> Iterator[None]:
    """Processes started within, and programs they run, use one thread each: the processes are what runs in parallel."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
