"""One function over many items on Ray: in chunks, which a lost process or machine has done again elsewhere."""

from __future__ import annotations

import importlib
import os
import platform
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unhiss.errors import UnhissError, need
from unhiss.fleet.processes import PATIENCE_S, Killed, cores

AGAIN = 10  # times a chunk is done again when its process or machine is lost
CHUNK = 8  # items at most that go out together: Ray takes about a millisecond for each message
STORE_BYTES = 80 << 20  # results are small: numbers and names

_begun = ""  # in each process of Ray: the run that it has begun for


def results(
    task: Callable[..., Any], items: Sequence[tuple], address: str, jobs: int | None,
    begin: Callable[..., None] | None, given: tuple, again: bool = True,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """(index, task(*item)) of every item as each chunk is done; as `processes.results`, on Ray.

    address: "local" for Ray on this machine, with `jobs` processes; else of a cluster, whose every machine has
    unhiss installed and sees the same files. Raises Killed when one chunk lost its process again and again.
    """
    with _joined(address, jobs) as ray:
        run, here = uuid.uuid4().hex, str(Path.cwd())
        work = ray.remote(_chunk).options(num_cpus=1, max_retries=AGAIN if again else 0)
        size = max(1, min(CHUNK, len(items) // (4 * _places(ray))))
        todo = [list(range(first, min(first + size, len(items)))) for first in range(0, len(items), size)][::-1]
        running: dict[Any, list[int]] = {}
        try:
            while todo or running:
                while todo and len(running) < 2 * _places(ray):  # two each: nobody waits for the next to arrive
                    chunk = todo.pop()
                    running[work.remote(task, [items[index] for index in chunk], begin, given, run, here)] = chunk
                for one in ray.wait(list(running), num_returns=1)[0]:
                    chunk = running.pop(one)
                    yield from zip(chunk, _got(ray, one), strict=True)
        except BaseException:
            _cancel(ray, list(running))
            raise


def _chunk(
    task: Callable[..., Any], items: list[tuple], begin: Callable[..., None] | None, given: tuple, run: str, here: str
) -> list[Any]:
    """In a process of Ray, gone to the folder of the command, as paths may be relative."""
    global _begun
    try:
        os.chdir(here)
    except OSError as error:
        raise UnhissError(
            f"{platform.node()} has no folder {here}; run unhiss from one that every machine of the cluster sees"
        ) from error
    if begin and _begun != run:
        begin(*given)
    _begun = run
    return [task(*item) for item in items]


def _got(ray: Any, one: Any) -> list[Any]:
    try:
        done: list[Any] = ray.get(one)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise Killed("Ray lost the process again and again, perhaps for want of memory") from error
    return done


def _cancel(ray: Any, running: list[Any]) -> None:
    """Let tasks end through the exits that remove what is half-written, before Ray kills them."""
    for one in running:
        ray.cancel(one, force=False)
    if running:
        ray.wait(running, num_returns=len(running), timeout=PATIENCE_S)


def _places(ray: Any) -> int:
    """How many items are worked on at a time; machines come and go."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _joined(address: str, jobs: int | None) -> Iterator[Any]:
    """Ray, for the length of the block; quiet, and telling nobody. Raises MissingExtra, UnhissError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of its own future
    need("ray", "ray")
    ray: Any = importlib.import_module("ray")
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    own = {"num_cpus": jobs or cores(), "object_store_memory": STORE_BYTES, "include_dashboard": False}
    with _silent():
        try:
            ray.init(address, **quiet, **(own if address == "local" else {}))
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            wanted = "expected local, auto, HOST:PORT or ray://HOST:PORT"
            raise UnhissError(f"no Ray at {address} ({first}); {wanted}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Ray tells of a lost machine on stdout, among the lines of --json, and has no setting against it."""
    worker: Any = importlib.import_module("ray._private.worker")
    told = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = told
