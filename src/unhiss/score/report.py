"""Runs any number of systems on the same recordings, scores every output and collects the rows in a report."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unhiss.errors import ConfigError
from unhiss.fleet.ledger import Ledger
from unhiss.fleet.mapping import Fleet, map_items
from unhiss.fleet.processes import WorkerSetup
from unhiss.score.pairs import Pair
from unhiss.score.recognition import Recogniser
from unhiss.score.registry import DEFAULT, check_packages
from unhiss.score.scorer import Scorer, ScoreRow
from unhiss.score.systems import System

NOISY = "noisy input"
PRELOAD = ("unhiss.score.scorer",)  # imported once by the fork server for all processes
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PACKAGES = ("numpy", "soxr", "onnxruntime", "pesq", "pystoi", "speechmos")  # whose versions may change scores
CACHE, CACHED = "cache.jsonl", ("scores", "undefined", "extra_samples", "cost_us")  # file; fields of a row
CACHE_FORMAT = 2  # to be raised when a metric is computed in another way


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, by system (the noisy input first) and then by recording, in the order they were given."""

    systems: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    metrics: tuple[str, ...] = DEFAULT

    @property
    def failures(self) -> list[ScoreRow]:
        return [row for row in self.rows if row.failure]

    def of(self, system: str) -> list[ScoreRow]:
        return [row for row in self.rows if row.system == system]


def evaluate(
    systems: Sequence[System], pairs: Sequence[Pair], *, metrics: Sequence[str] = DEFAULT,
    recogniser: Recogniser | None = None, jobs: int = 1, ray: str | None = None, folder: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:  # fmt: skip
    """Score the noisy input and each system on each recording; the report is the same for any `jobs`.

    metrics: names in METRICS (see registry.select_metrics). jobs, ray: see Fleet. folder: where finished rows are
    cached; a cached row is used as long as nothing it depends on changes. progress(done, total) is called after
    each row. A recording or system that fails gives rows with a failure, and the others are still scored.
    Raises MissingExtra without the packages of the extra `eval`, ConfigError if two systems have one name.
    """
    names = [NOISY, *(system.name for system in systems)]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"two rows would be called {min(duplicates)!r} (the first row is {NOISY!r}); rename one")
    check_packages(metrics)
    items = [(name, number) for name in names for number in range(len(pairs))]
    rows: dict[tuple[str, int], ScoreRow] = {}
    cache, keys = Ledger(folder / CACHE) if folder else None, {}
    if cache:
        keys = dict(zip(items, _cache_keys(systems, pairs, metrics, recogniser), strict=True))
        for name, number in (item for item in items if keys[item] in cache.done):
            cached = cache.done[keys[name, number]]
            rows[name, number] = ScoreRow(name, pairs[number], **cached | {"undefined": tuple(cached["undefined"])})
    progress(len(rows), len(items))
    # Longest first, so that no process is left alone with a long one; all systems on one recording consecutively.
    missing = sorted((item for item in items if item not in rows), key=lambda item: (-pairs[item[1]].size, item[1]))
    tasks = [(number, pairs[number], name) for name, number in missing]
    scorer_args = (tuple(systems), tuple(metrics), recogniser)
    for index, row in map_scorer(Scorer.score, tasks, Fleet(jobs, ray), scorer_args):
        rows[missing[index]] = row
        if cache and not row.failure:  # failures are tried again
            cache.add(keys[missing[index]], {name: getattr(row, name) for name in CACHED})
        progress(len(rows), len(items))
    return Report(tuple(names), tuple(rows[item] for item in items), tuple(metrics))


def map_scorer(
    task: Callable[..., Any], items: Sequence[tuple[Any, ...]], fleet: Fleet, scorer_args: tuple[Any, ...]
) -> Iterator[tuple[int, Any]]:
    """(index, task(scorer, *item)) of every item, as each finishes; scorer_args: of the Scorer of each process.

    Workers, and programs they run, use one thread each: recordings are scored in parallel.
    """
    setup = WorkerSetup(state=Scorer, args=scorer_args, preload=PRELOAD)
    previous = {name: os.environ[name] for name in THREADS if name in os.environ}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield from map_items(task, items, fleet, setup, is_failure=_is_failure)
    finally:
        for name in THREADS:
            del os.environ[name]
        os.environ.update(previous)


def _is_failure(result: Any) -> bool:
    return isinstance(result, ScoreRow) and bool(result.failure)


def _cache_keys(
    systems: Sequence[System], pairs: Sequence[Pair], metrics: Sequence[str], recogniser: Recogniser | None
) -> Iterator[str]:
    """A key for each system and recording, from all that its scores depend on: files, system, metrics, versions.

    A recording that cannot be read gets a key too; scoring it will fail.
    """
    settings = [*metrics, str(package_versions()), recogniser.identity if recogniser and "wer" in metrics else ""]
    digests = [""] * len(pairs)
    for number, pair in enumerate(pairs):
        with suppress(OSError):
            digests[number] = pair.digest
    for identity in (NOISY, *(system.identity for system in systems)):
        for digest in digests:
            yield hashlib.sha256(json.dumps([CACHE_FORMAT, digest, identity, *settings]).encode()).hexdigest()


def package_versions() -> dict[str, str | None]:
    """Versions of the packages that scores depend on; None for one that is not installed."""
    versions: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
