"""Locks between processes, and the workers that hold them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

import unhiss
from unhiss.data.locks import exclusive_lock, hold_worker_lock, run_workers, scratch_folder, workers_ended
from unhiss.data.output_folder import PLAN, claim_folder
from unhiss.errors import DataError
from unhiss.fleet.mapping import Fleet
from unhiss.fleet.processes import cpu_count

WORKER = """
import sys; from pathlib import Path; from unhiss.data.locks import hold_worker_lock
lock = hold_worker_lock(Path(sys.argv[1])); print(flush=True); sys.stdin.read()
"""


def python(code: str, *arguments: object, **options) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(Path(unhiss.__file__).parent.parent)} | options.pop("env", {})
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, **options)


@contextmanager
def another_worker(folder: Path) -> Iterator[subprocess.Popen]:
    """A process that holds a worker lock in `folder` until its stdin is closed, or it is killed."""
    process = python(WORKER, folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    try:
        yield process
    finally:
        process.communicate()


def test_a_lock_has_one_holder_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive_lock(path) as first, exclusive_lock(path) as second:
        assert (first, second) == (True, False)
    with exclusive_lock(path) as third:
        assert third
    assert list(tmp_path.iterdir()) == []


def test_workers_are_waited_for_and_their_lock_files_removed(tmp_path: Path) -> None:
    with another_worker(tmp_path), another_worker(tmp_path) as second:
        assert not workers_ended(tmp_path, 0)
        second.kill()
        second.wait()
        assert not workers_ended(tmp_path, 0), "the first is still alive"
    assert workers_ended(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_refused_while_a_worker_of_an_earlier_run_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unhiss.data.output_folder.WORKER_TIMEOUT_S", 0.0)
    with claim_folder(tmp_path, "one", "set"):
        pass
    with (
        another_worker(tmp_path),
        pytest.raises(DataError, match="processes of an earlier run still write to"),
        claim_folder(tmp_path, "one", "set"),
    ):
        pass
    with claim_folder(tmp_path, "one", "set"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [PLAN]


def test_a_worker_lock_is_held_until_it_is_released(tmp_path: Path) -> None:
    lock = hold_worker_lock(tmp_path)
    assert not workers_ended(tmp_path, 0)
    lock.release()
    assert workers_ended(tmp_path, 0)


def _write(folder: Path, number: int) -> None:
    if number == 13:
        raise DataError("thirteen")
    (folder / str(number)).touch()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_once_and_reported(tmp_path: Path, jobs: int) -> None:
    seen: list[int] = []
    with claim_folder(tmp_path, "one", "set"):
        run_workers(_write, [1, 2, 3, 4, 5], [(tmp_path, i) for i in range(5)], tmp_path, Fleet(jobs), seen.append)
    assert seen[0] == 0 and sorted(after - before for before, after in pairwise(seen)) == [1, 2, 3, 4, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4", PLAN]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_another_process_arrives_as_itself(tmp_path: Path, jobs: int) -> None:
    with claim_folder(tmp_path, "one", "set"), pytest.raises(DataError, match="thirteen"):
        run_workers(_write, [1, 1], [(tmp_path, 13), (tmp_path, 1)], tmp_path, Fleet(jobs))


def test_no_items_need_no_worker(tmp_path: Path) -> None:
    run_workers(_write, [], [], tmp_path, Fleet())
    assert cpu_count() >= 1


def test_scratch_folders_of_killed_runs_are_removed_and_those_in_use_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import os; from unhiss.data.locks import scratch_folder\nwith scratch_folder() as folder: "
    killed = python(code + "(folder / 'a').touch(); os._exit(1)", env={"TMPDIR": str(tmp_path)})
    assert killed.wait() and [path.name for path in tmp_path.glob("*/*")] == ["a"]
    with scratch_folder() as one:
        (one / "b").touch()
        with scratch_folder() as other:
            assert {path for path in tmp_path.iterdir() if path.is_dir()} == {one, other} and (one / "b").is_file()
    assert list(tmp_path.iterdir()) == []
