from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from unhiss.data.files import save, save_text
from unhiss.data.output import PLAN, claim, refuse_foreign, scratch
from unhiss.data.workers import run
from unhiss.errors import DataError
from unhiss.fleet.mapping import Fleet
from unhiss.fleet.processes import cores


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_text(path, "old\n")

    def fail(file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(path, fail)
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_taken_once_for_one_fingerprint(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        with claim(folder, "one", "data set"):
            assert json.loads((folder / PLAN).read_text())["fingerprint"] == "one"
    with (
        pytest.raises(DataError, match="holds a data set of other sources or settings"),
        claim(folder, "two", "data set"),
    ):
        pass


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    with (
        claim(tmp_path, "one", "data set"),
        pytest.raises(DataError, match="another run is writing the data set"),
        claim(tmp_path, "one", "data set"),
    ):
        pass


@pytest.mark.parametrize("content", ["", "[]", '{"other": 1}'])
def test_a_damaged_plan_is_one_clear_line(tmp_path: Path, content: str) -> None:
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(DataError, match="is damaged; remove"), claim(tmp_path, "one", "data set"):
        pass


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    leftover = tmp_path / f".{PLAN}.123.part"
    leftover.touch()
    with claim(tmp_path / "new", "one", "set"):
        pass
    (tmp_path / "sub").rmdir()
    with claim(tmp_path / "new", "one", "set"):
        pass
    for name in (".x.npy.77.part", ".unhiss-00ff.part", ".keep", "x.part"):
        (tmp_path / "new" / name).touch()
    with claim(tmp_path / "new", "one", "set"):
        pass
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".keep", PLAN, "x.part"]


def test_a_run_killed_before_its_plan_was_whole_does_not_block_the_folder(tmp_path: Path) -> None:
    (tmp_path / f".{PLAN}.123.part").write_text("{")
    with claim(tmp_path, "one", "set"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [PLAN]


def test_a_folder_of_other_things_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(DataError, match="is not empty and holds no data set"):
        refuse_foreign(tmp_path, "data set")
    with pytest.raises(DataError, match="is a file; choose a folder"):
        refuse_foreign(tmp_path / "thesis.doc", "data set")
    refuse_foreign(tmp_path / "new", "data set")


def _write(folder: Path, number: int) -> None:
    if number == 13:
        raise DataError("unlucky")
    (folder / str(number)).touch()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_once_and_reported(tmp_path: Path, jobs: int) -> None:
    seen: list[int] = []
    with claim(tmp_path, "one", "set"):
        run(_write, [(tmp_path, i) for i in range(5)], tmp_path, Fleet(jobs), seen.append)
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4", PLAN]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_another_process_arrives_as_itself(tmp_path: Path, jobs: int) -> None:
    with claim(tmp_path, "one", "set"), pytest.raises(DataError, match="unlucky"):
        run(_write, [(tmp_path, 13), (tmp_path, 1)], tmp_path, Fleet(jobs))


def test_nothing_to_do_is_done(tmp_path: Path) -> None:
    run(_write, [], tmp_path, Fleet())
    assert cores() >= 1


def test_what_killed_runs_left_in_scratch_goes_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import os; from unhiss.data.output import scratch\nwith scratch() as own: (own / 'a').touch(); os._exit(1)"
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path)}, check=False)
    assert killed.returncode and [path.name for path in tmp_path.glob("*/*")] == ["a"]
    with scratch() as one:
        (one / "b").touch()
        with scratch() as other:
            assert {*tmp_path.iterdir()} == {one, other} and (one / "b").is_file()
    assert list(tmp_path.iterdir()) == []
