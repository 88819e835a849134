"""Work lost to a crashed worker is done again, failed items are retried, finished items are never repeated."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from unhiss.errors import UnhissError
from unhiss.fleet.ledger import Ledger
from unhiss.fleet.mapping import MAX_CRASHES, Fleet, in_order, map_items

TWO = Fleet(2)


def double(folder: Path, number: int, fault: str = "") -> int | str:
    """2 * number; each call leaves a file. fault: what the first call, or every call, does instead."""
    calls = folder / str(number)
    first = not calls.exists()
    with calls.open("a") as file:
        file.write("x")
    if fault == "crashes" or (fault == "crashes once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "raises" or (fault == "raises once" and first):
        raise ValueError("thirteen")
    if fault == "fails" or (fault == "fails once" and first):
        return "failed"
    return 2 * number


def has_failed(result: int | str) -> bool:
    return result == "failed"


def items(folder: Path, **faults: str) -> list[tuple]:
    """Items 0 … 9; `_3="crashes"`: what the fourth one does."""
    return [(folder, number, faults.get(f"_{number}", "")) for number in range(10)]


def calls(folder: Path, number: int) -> int:
    return len((folder / str(number)).read_text())


def test_killed_workers_lose_no_item_and_no_result_is_repeated(tmp_path: Path) -> None:
    faults = {"_2": "crashes once", "_5": "crashes once", "_9": "crashes once"}
    done = list(map_items(double, items(tmp_path, **faults), TWO))
    assert sorted(done) == [(number, 2 * number) for number in range(10)]


def test_an_item_that_kills_every_worker_ends_the_run_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(map_items(double, items(tmp_path, _3="crashes"), TWO))
    assert (
        calls(tmp_path, 3) <= 9 + MAX_CRASHES
    )  # the count starts anew when one of the nine others finished before the crash


def test_without_retry_the_first_crash_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(map_items(double, items(tmp_path, _3="crashes once"), TWO, retry=False))
    # none twice; a call that was terminated before it wrote leaves an empty file
    assert calls(tmp_path, 3) == 1 and all(len(path.read_text()) <= 1 for path in tmp_path.iterdir())


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_item_that_fails_is_retried_once_and_then_reported(jobs: int, tmp_path: Path) -> None:
    faults = {"_1": "fails once", "_4": "raises once", "_7": "fails"}
    done = dict(map_items(double, items(tmp_path, **faults), Fleet(jobs), is_failure=has_failed))
    assert done == {number: "failed" if number == 7 else 2 * number for number in range(10)}
    assert [calls(tmp_path, number) for number in (0, 1, 4, 7)] == [1, 2, 2, 2]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_item_that_raises_twice_ends_the_run(jobs: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="thirteen"):
        list(map_items(double, items(tmp_path, _4="raises"), Fleet(jobs)))


def test_a_repeated_run_computes_only_what_its_ledger_lacks(tmp_path: Path) -> None:
    path = tmp_path / "out" / "ledger"
    for number in range(10):
        (tmp_path / str(number)).touch()
    first = map_items(double, items(tmp_path), Fleet(1), ledger=Ledger(path, "this run"))
    assert [next(first)[0] for _ in range(4)] == [0, 1, 2, 3]
    first.close()  # type: ignore[attr-defined]  # a generator; as Ctrl-C does
    with path.open("a") as file:
        file.write('[4, "cut o')  # as a crash does
    again = Ledger(path, "this run")
    assert sorted(map_items(double, items(tmp_path, _6="fails"), TWO, ledger=again, is_failure=has_failed)) == [
        (number, "failed" if number == 6 else 2 * number) for number in range(10)
    ]
    assert [calls(tmp_path, number) for number in range(10)] == [1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert sorted(Ledger(path, "this run").done) == [0, 1, 2, 3, 4, 5, 7, 8, 9], "a failure is not kept"
    with pytest.raises(UnhissError, match="is of a run with other inputs or settings"):
        Ledger(path, "another run")
    again.remove()
    assert not path.exists()


def test_a_ledger_keeps_the_metadata_of_its_first_start(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger", "run", {"existing": [3]})
    again = Ledger(tmp_path / "ledger", "run", {"existing": [3, 4]})
    assert again.metadata == {"existing": [3]} and again.run_id == first.run_id


def test_results_in_order_are_yielded_as_soon_as_all_before_them() -> None:
    arriving = iter([(2, "c"), (0, "a"), (1, "b"), (3, "d")])
    sorted_ = in_order(arriving)
    assert [next(sorted_) for _ in range(3)] == [(0, "a"), (1, "b"), (2, "c")]
    assert list(arriving) == [(3, "d")]


def test_a_ledger_without_a_fingerprint_keeps_results_by_key(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger(path, pack=str, unpack=float).add("a", 1.5)
    with path.open("a") as file:
        file.write('{"key": "of another format"}\n["b", "2')  # as a crash leaves it
    again = Ledger(path, pack=str, unpack=float)
    again.add("c", 3.0)
    assert again.done == {"a": 1.5} and Ledger(path, unpack=float).done == {"a": 1.5, "c": 3.0}
