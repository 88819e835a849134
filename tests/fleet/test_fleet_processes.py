"""Several processes give the results of one, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from unhiss.errors import UnhissError
from unhiss.fleet.processes import WorkerCrashed, WorkerSetup, map_processes, start_workers


def square(value: int) -> int:
    if value == 13:
        raise ValueError("thirteen")
    return value * value


def exit_at_once(value: int) -> None:
    os._exit(value)


def note(folder: Path) -> int:
    (folder / f"{os.getpid()} {uuid.uuid4()}").touch()
    return os.getpid()


def add_to_state(state: int, number: int) -> tuple[int, int]:
    return state - os.getpid(), number


def terminate_itself(folder: Path, number: int) -> None:
    (folder / str(number)).touch()
    os.kill(os.getpid(), signal.SIGTERM)


def swallow_exit(folder: Path, number: int) -> None:
    """Swallows SystemExit, as callbacks of C and finalisers do, and goes on."""
    with suppress(BaseException):
        terminate_itself(folder, number)


class Late:
    """A result whose process is terminated while the result is being sent back."""

    def __reduce__(self) -> tuple:
        os.kill(os.getpid(), signal.SIGTERM)
        return Late, ()


def send_late(folder: Path, number: int) -> Late:
    (folder / str(number)).touch()
    return Late()


def clean_up(folder: Path, number: int) -> None:
    try:
        terminate_itself(folder, number)
        time.sleep(60)  # interrupted by the signal
    finally:
        (folder / str(number)).unlink()


@pytest.fixture(params=[1, 2, None])
def jobs(request: pytest.FixtureRequest) -> Iterator[int | None]:
    yield request.param


def test_every_item_gives_one_result_with_its_index(jobs: int | None) -> None:
    assert sorted(map_processes(square, [(n,) for n in range(12)], jobs)) == [(n, n * n) for n in range(12)]
    assert list(map_processes(square, [], jobs)) == []


def test_the_first_exception_ends_all(jobs: int | None) -> None:
    with pytest.raises(ValueError, match="thirteen"):
        list(map_processes(square, [(13,), (1,)], jobs))


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_process_makes_its_state_once_and_hands_it_to_every_task(jobs: int, tmp_path: Path) -> None:
    setup = WorkerSetup(state=note, args=(tmp_path,))
    done = sorted(map_processes(add_to_state, [(n,) for n in range(8)], jobs, setup))
    assert done == [(n, (0, n)) for n in range(8)]
    assert 1 <= len(list(tmp_path.iterdir())) <= jobs


@pytest.mark.parametrize("task", [terminate_itself, swallow_exit, send_late])
def test_a_terminated_worker_takes_no_further_item(task: Callable, tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(map_processes(task, [(tmp_path, n) for n in range(40)], 2))
    assert 1 <= len(list(tmp_path.iterdir())) <= 2


def test_a_terminated_task_cleans_up(tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(map_processes(clean_up, [(tmp_path, n) for n in range(40)], 2))
    assert not list(tmp_path.iterdir())


def test_a_killed_worker_is_one_clear_line() -> None:
    with pytest.raises(UnhissError, match="a process was killed, perhaps for want of memory; -j 1 needs least"):
        list(map_processes(exit_at_once, [(9,), (9,)], 2))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of AF_UNIX sockets here")
def test_a_long_folder_of_temporary_files_is_no_obstacle(tmp_path: Path) -> None:
    long = tmp_path / ("t" * 100)
    long.mkdir()
    code = "from unhiss.fleet.processes import map_processes; print(sorted(map_processes(pow, [(2, 3), (3, 2)], 2)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(long)}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[(0, 8), (1, 9)]\n", "")


def test_workers_that_wait_for_tasks_share_a_state_and_say_so_when_one_was_killed() -> None:
    run = start_workers(1, WorkerSetup(state=int, args=("7",)))
    assert [run(pow, (2,)), run(max, (9,))] == [49, 9]
    with pytest.raises(WorkerCrashed, match="a process was killed"):
        start_workers(1)(exit_at_once, (9,))
