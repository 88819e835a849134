"""A file that is written is whole, or not there; what it replaces stays as private as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from unhiss.atomic import TEMP_NAME, atomic_write, temp_path


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with atomic_write(tmp_path / "a") as draft:
        draft.write_text("new")
        assert (tmp_path / "a").read_text() == "old"
        assert TEMP_NAME.fullmatch(draft.name)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "new"


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a") as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/a")
    with atomic_write(tmp_path / "link") as draft:
        draft.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "a").read_text() == "new"


def test_what_is_replaced_is_no_more_public_than_before_not_even_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("secret")
    (tmp_path / "a").chmod(0o600)
    with atomic_write(tmp_path / "a") as draft:
        assert draft.stat().st_mode & 0o777 == 0o600
        draft.write_text("new")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_name_of_any_length_has_a_draft(tmp_path: Path) -> None:
    with atomic_write(tmp_path / ("n" * 255)) as draft:
        draft.touch()
    assert temp_path(tmp_path / "a") != temp_path(tmp_path / "a")
