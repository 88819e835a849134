"""Map a function over many items on Ray, in chunks; the chunks of a lost process or machine run again elsewhere."""

import importlib
import os
import platform
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from unhiss.errors import UnhissError, need
from unhiss.fleet.processes import SHUTDOWN_TIMEOUT_S, WorkerCrashed, WorkerSetup, cpu_count

MAX_RETRIES = 10  # of a chunk whose process or machine is lost
CHUNK = 8  # items at most that are sent together: each of Ray's messages takes about a millisecond
STORE_BYTES = 80 << 20  # results are small: numbers and names


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of `map_on_ray`, as its chunks know it; two are equal if their ids are."""

    id: str
    cwd: str = field(compare=False)
    setup: WorkerSetup = field(compare=False)


def map_on_ray(
    task: Callable[..., Any], items: Sequence[tuple[Any, ...]], address: str, jobs: int | None, setup: WorkerSetup,
    retry: bool,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """(index, task(*item)) of every item, as each chunk finishes: `processes.map_processes`, on Ray.

    address: "local" for Ray on this machine, with `jobs` processes; else of a cluster, whose machines all have
    unhiss installed and see the same files. Raises WorkerCrashed when one chunk lost its process too often.
    """
    with _connected(address, jobs) as ray:
        run = _Run(uuid.uuid4().hex, str(Path.cwd()), setup)
        remote_chunk = ray.remote(_run_chunk).options(num_cpus=1, max_retries=MAX_RETRIES if retry else 0)
        size = max(1, min(CHUNK, len(items) // (4 * _capacity(ray))))
        waiting = [list(range(first, min(first + size, len(items)))) for first in range(0, len(items), size)][::-1]
        running: dict[Any, list[int]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * _capacity(ray):  # two each, so that no process waits for work
                    chunk = waiting.pop()
                    running[remote_chunk.remote(task, [items[index] for index in chunk], run)] = chunk
                for reference in ray.wait(list(running), num_returns=1)[0]:
                    yield from zip(running.pop(reference), _results(ray, reference), strict=True)
        except BaseException:
            for reference in running:  # an interrupted task removes its temporary files, before Ray kills it
                ray.cancel(reference, force=False)
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=SHUTDOWN_TIMEOUT_S)
            raise


def _run_chunk(task: Callable[..., Any], items: list[tuple[Any, ...]], run: _Run) -> list[Any]:
    """In a process of Ray, in the working directory of the command, as paths may be relative."""
    try:
        os.chdir(run.cwd)
    except OSError as error:
        raise UnhissError(
            f"{platform.node()} has no folder {run.cwd}; run unhiss from one that every machine of the cluster sees"
        ) from error
    return [task(*_first_arguments(run), *item) for item in items]


@lru_cache(maxsize=1)
def _first_arguments(run: _Run) -> tuple[Any, ...]:
    """Of the tasks of a run in this process, made once for all its chunks: Ray starts processes itself, for any run."""
    return run.setup.first_arguments()


def _results(ray: Any, reference: Any) -> list[Any]:
    try:
        results: list[Any] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise WorkerCrashed("Ray lost the process again and again, perhaps for want of memory") from error
    return results


def _capacity(ray: Any) -> int:
    """How many items run at a time; machines may join and leave."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _connected(address: str, jobs: int | None) -> Iterator[Any]:
    """Ray until the block ends; quiet, with telemetry disabled. Raises MissingExtra, UnhissError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray prints a deprecation warning
    need("ray", "ray")
    ray: Any = importlib.import_module("ray")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if address == "local":
        options |= {"num_cpus": jobs or cpu_count(), "object_store_memory": STORE_BYTES, "include_dashboard": False}
    with _silent_stdout():
        try:
            ray.init(address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UnhissError(
                f"no Ray at {address} ({reason}); expected local, auto, HOST:PORT or ray://HOST:PORT"
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Ray reports a lost machine on stdout, among the lines of --json, and has no setting against it."""
    worker: Any = importlib.import_module("ray._private.worker")
    original = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = original
