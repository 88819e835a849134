"""Several processes give what one gives, and none is left behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hush.errors import HushError
from hush.fleet.processes import results


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
    sys.exit(143)  # as the handler of a SIGTERM does


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


def test_a_process_that_is_told_to_end_takes_no_further_item(tmp_path: Path) -> None:
    with pytest.raises(HushError, match="a process was killed"):
        list(results(leave, [(tmp_path, n) for n in range(40)], 2))
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_killed_process_is_one_clear_line() -> None:
    with pytest.raises(HushError, match="a process was killed, perhaps for want of memory; -j 1 needs least"):
        list(results(die, [(9,), (9,)], 2))
