"""What a death took is done again, what failed is tried again, what is done is never redone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from unhiss.errors import UnhissError
from unhiss.fleet.ledger import Ledger
from unhiss.fleet.mapping import DEATHS, Fleet, in_order, mapped

TWO = Fleet(2)


def double(folder: Path, number: int, mood: str = "") -> int | str:
    """2 * number; each call leaves a file. mood: what the first call, or every one, does instead."""
    calls = folder / str(number)
    first = not calls.exists()
    with calls.open("a") as file:
        file.write("x")
    if mood == "dies" or (mood == "dies once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if mood == "raises" or (mood == "raises once" and first):
        raise ValueError("thirteen")
    if mood == "fails" or (mood == "fails once" and first):
        return "no luck"
    return 2 * number


def no_luck(result: int | str) -> bool:
    return result == "no luck"


def items(folder: Path, **moods: str) -> list[tuple]:
    """Items 0 … 9; `_3="dies"`: what the fourth one does."""
    return [(folder, number, moods.get(f"_{number}", "")) for number in range(10)]


def calls(folder: Path, number: int) -> int:
    return len((folder / str(number)).read_text())


def test_processes_that_are_killed_cost_no_item_and_repeat_none_in_the_results(tmp_path: Path) -> None:
    moods = {"_2": "dies once", "_5": "dies once", "_9": "dies once"}
    done = list(mapped(double, items(tmp_path, **moods), TWO))
    assert sorted(done) == [(number, 2 * number) for number in range(10)]


def test_an_item_that_kills_every_process_ends_the_run_with_a_line(tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(mapped(double, items(tmp_path, _3="dies"), TWO))
    assert calls(tmp_path, 3) <= 9 + DEATHS  # a death counts anew when any of the nine others was done before it


def test_where_nothing_may_be_done_twice_the_first_death_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UnhissError, match="a process was killed"):
        list(mapped(double, items(tmp_path, _3="dies once"), TWO, again=False))
    # none twice; and nothing is in the file of a call that was told to end before it wrote
    assert calls(tmp_path, 3) == 1 and all(len(path.read_text()) <= 1 for path in tmp_path.iterdir())


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_fails_once_is_tried_again_and_what_fails_twice_is_told(jobs: int, tmp_path: Path) -> None:
    moods = {"_1": "fails once", "_4": "raises once", "_7": "fails"}
    done = dict(mapped(double, items(tmp_path, **moods), Fleet(jobs), failed=no_luck))
    assert done == {number: "no luck" if number == 7 else 2 * number for number in range(10)}
    assert [calls(tmp_path, number) for number in (0, 1, 4, 7)] == [1, 2, 2, 2]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_raises_twice_ends_the_run(jobs: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="thirteen"):
        list(mapped(double, items(tmp_path, _4="raises"), Fleet(jobs)))


def test_a_repeated_run_does_only_what_its_ledger_lacks(tmp_path: Path) -> None:
    path = tmp_path / "out" / "ledger"
    for number in range(10):
        (tmp_path / str(number)).touch()
    first = mapped(double, items(tmp_path), Fleet(1), ledger=Ledger(path, "this run"))
    assert [next(first)[0] for _ in range(4)] == [0, 1, 2, 3]
    first.close()  # as a Ctrl-C does
    with path.open("a") as file:
        file.write('[4, "cut o')  # as a crash does
    again = Ledger(path, "this run")
    assert sorted(mapped(double, items(tmp_path, _6="fails"), TWO, ledger=again, failed=no_luck)) == [
        (number, "no luck" if number == 6 else 2 * number) for number in range(10)
    ]
    assert [calls(tmp_path, number) for number in range(10)] == [1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert sorted(Ledger(path, "this run").done) == [0, 1, 2, 3, 4, 5, 7, 8, 9], "what failed is not done"
    with pytest.raises(UnhissError, match="is of a run with other inputs or settings"):
        Ledger(path, "another run")
    again.remove()
    assert not path.exists()


def test_a_ledger_keeps_the_facts_of_its_first_start(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger", "run", {"there": [3]})
    again = Ledger(tmp_path / "ledger", "run", {"there": [3, 4]})
    assert again.facts["there"] == [3] and again.run == first.run


def test_results_in_order_come_as_soon_as_all_before_them() -> None:
    came = iter([(2, "c"), (0, "a"), (1, "b"), (3, "d")])
    sorted_ = in_order(came)
    assert [next(sorted_) for _ in range(3)] == [(0, "a"), (1, "b"), (2, "c")]
    assert list(came) == [(3, "d")]
