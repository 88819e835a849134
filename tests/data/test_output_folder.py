"""Output folders: one set of settings each, one run at a time; files in them are complete or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unhiss.data.output_folder import PLAN, claim_folder, refuse_foreign
from unhiss.data.storage import save, save_text
from unhiss.errors import DataError


def test_a_file_is_complete_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_text(path, "old\n")

    def fail(file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(path, fail)
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_claimed_for_one_fingerprint(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        with claim_folder(folder, "one", "data set"):
            assert json.loads((folder / PLAN).read_text())["fingerprint"] == "one"
    with (
        pytest.raises(DataError, match="holds a data set of other sources or settings"),
        claim_folder(folder, "two", "data set"),
    ):
        pass


def test_a_second_run_at_a_time_is_refused(tmp_path: Path) -> None:
    with (
        claim_folder(tmp_path, "one", "data set"),
        pytest.raises(DataError, match="another run is writing the data set"),
        claim_folder(tmp_path, "one", "data set"),
    ):
        pass


@pytest.mark.parametrize("content", ["", "[]", '{"other": 1}'])
def test_a_damaged_plan_is_one_clear_line(tmp_path: Path, content: str) -> None:
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(DataError, match="is damaged; remove"), claim_folder(tmp_path, "one", "data set"):
        pass


def test_temporary_files_of_a_killed_run_are_removed_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    leftover = tmp_path / f".{PLAN}.123.part"
    leftover.touch()
    with claim_folder(tmp_path / "new", "one", "set"):
        pass
    (tmp_path / "sub").rmdir()
    with claim_folder(tmp_path / "new", "one", "set"):
        pass
    for name in (".x.npy.77.part", ".unhiss-00ff.part", ".keep", "x.part"):
        (tmp_path / "new" / name).touch()
    with claim_folder(tmp_path / "new", "one", "set"):
        pass
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".keep", PLAN, "x.part"]


def test_a_run_killed_while_it_wrote_its_plan_does_not_block_the_folder(tmp_path: Path) -> None:
    (tmp_path / f".{PLAN}.123.part").write_text("{")
    with claim_folder(tmp_path, "one", "set"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [PLAN]


def test_a_folder_with_other_files_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(DataError, match="is not empty and holds no data set"):
        refuse_foreign(tmp_path, "data set")
    with pytest.raises(DataError, match="is a file; choose a folder"):
        refuse_foreign(tmp_path / "thesis.doc", "data set")
    refuse_foreign(tmp_path / "new", "data set")
