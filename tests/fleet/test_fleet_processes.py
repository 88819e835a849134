"""Several processes give what one gives, and none is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from unhiss.errors import UnhissError
from unhiss.fleet.processes import results


def square(value: int) -> int:
    if value == 13:
        raise ValueError("thirteen")
    return value * value


def die(value: int) -> None:
    os._exit(value)


def note(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


def leave(folder: Path, number: int) -> None:
    (folder / str(number)).touch()
    os.kill(os.getpid(), signal.SIGTERM)


def stay(folder: Path, number: int) -> None:
    """What a callback of C does, or a finaliser: the exception is gone, and the task goes on."""
    with suppress(BaseException):
        leave(folder, number)


class Late:
    """Told to end when its task is through, while it is being sent back."""

    def __reduce__(self) -> tuple:
        os.kill(os.getpid(), signal.SIGTERM)
        return Late, ()


def send_late(folder: Path, number: int) -> Late:
    (folder / str(number)).touch()
    return Late()


def clean_up(folder: Path, number: int) -> None:
    try:
        leave(folder, number)
        time.sleep(60)
    finally:
        (folder / str(number)).unlink()


@pytest.fixture(params=[1, 2, None])
def jobs(request: pytest.FixtureRequest) -> Iterator[int | None]:
    yield request.param


def test_every_item_comes_back_once_with_its_number(jobs: int | None) -> None:
    assert sorted(results(square, [(n,) for n in range(12)], jobs)) == [(n, n * n) for n in range(12)]
    assert list(results(square, [], jobs)) == []


def test_the_first_exception_ends_all(jobs: int | None) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="thirteen"):
        list(results(square, [(13,), (1,)], jobs))
    assert time.monotonic() - began < 20


def test_each_process_begins_once(tmp_path: Path) -> None:
    list(results(square, [(n,) for n in range(8)], 2, note, (tmp_path,)))
    assert 1 <= len(list(tmp_path.iterdir())) <= 2


@pytest.mark.parametrize("task", [leave, stay, send_late])
def test_a_process_that_is_told_to_end_takes_no_further_item(task: Callable, tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(results(task, [(tmp_path, n) for n in range(40)], 2))
    assert 1 <= len(list(tmp_path.iterdir())) <= 2


def test_a_task_that_is_told_to_end_may_clean_up(tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(results(clean_up, [(tmp_path, n) for n in range(40)], 2))
    assert not list(tmp_path.iterdir())


def test_a_killed_process_is_one_clear_line() -> None:
    with pytest.raises(UnhissError, match="a process was killed, perhaps for want of memory; -j 1 needs least"):
        list(results(die, [(9,), (9,)], 2))
