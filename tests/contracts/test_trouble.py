"""When the world lets `unhiss denoise` down - disk, folder, place - one clear line stays, and no partial file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import PATIENCE_S, UNHISS, files, one_line, recording, soaked

Run = Callable[..., "subprocess.CompletedProcess[str]"]
# A mount of its own, for this command alone; root is not stopped by permissions, but by a file system.
ALONE = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
TINY = 'mount -t tmpfs -o size=300k unhiss "$0" || exit 99; "$@"; code=$?; ls -A "$0" > "$0.list"; exit $code'
LOCKED = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" || exit 99; exec "$@"'


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str], options: list[str]) -> Run:
    """`unhiss denoise ...` in tmp_path; `mount`: with TINY or LOCKED about the folder `at`."""

    def call(*words: object, mount: str = "", at: str = "out", **given: object) -> subprocess.CompletedProcess[str]:
        before = [*ALONE, mount, str(tmp_path / at)] if mount else []
        if mount and (not shutil.which("unshare") or subprocess.run([*ALONE, "true"], capture_output=True).returncode):
            pytest.skip("this system lets nobody mount: neither a tiny disk nor a read-only one can be had")
        given = {
            "cwd": tmp_path,
            "env": environment,
            "text": True,
            "timeout": PATIENCE_S,
            "capture_output": True,
        } | given
        if "stdout" in given:
            given = {"stderr": subprocess.PIPE} | given | {"capture_output": False}
        done: subprocess.CompletedProcess[str] = subprocess.run([*before, *UNHISS, *map(str, words), *options], **given)  # type: ignore[call-overload]
        if done.returncode == 99:
            pytest.skip("this system lets nobody mount a file system here")
        return done

    return call


# --- disks and folders


@pytest.mark.parametrize("extension", ["wav", "mp3", *soaked("w64", "flac", "ogg", "aiff")])
def test_a_tiny_disk_takes_nothing_or_all(extension: str, tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav", 40)
    (tmp_path / "out").mkdir()
    done = run("a.wav", "-o", f"out/b.{extension}", mount=TINY)
    one_line(done, r"out/b\.", "is the disk full\\?")
    assert (tmp_path / "out.list").read_text() == ""


@pytest.mark.parametrize("jobs", [1, 2])
def test_on_a_full_disk_a_folder_keeps_what_is_whole_and_lists_the_rest(jobs: int, tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "in" / "a.wav", 0.1)
    recording(tmp_path / "in" / "b.wav", 10)
    (tmp_path / "out").mkdir()
    done = run("in", "-o", "out", "-j", jobs, mount=TINY)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 2), done.stderr
    assert re.match(r"unhiss: .*out/b\.wav: .*is the disk full\?", lines[0])
    assert lines[1] == "unhiss: 1 of 2 recordings failed"
    assert (tmp_path / "out.list").read_text().split() == ["a.wav"]


def test_a_full_disk_for_the_residual_is_told(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav", 10)
    (tmp_path / "out").mkdir()
    one_line(run("a.wav", "-o", "b.wav", "--residual", "out/r.wav", mount=TINY), r"out/r\.wav", "is the disk full\\?")
    assert (tmp_path / "out.list").read_text() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_pipe_into_a_full_disk_is_told(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav", 3)
    with Path("/dev/full").open("wb") as full:
        done = run("a.wav", "-o", "-", stdout=full)
    assert done.returncode == 1
    assert re.fullmatch(r"unhiss: .*No space left on device.*\n", done.stderr), done.stderr
    assert files(tmp_path / "tmp") == []


def test_no_room_for_what_comes_by_a_pipe_is_told(tmp_path: Path, run: Run) -> None:
    with recording(tmp_path / "a.wav", 10).open("rb") as stdin:
        one_line(run("-", "-o", "b.wav", mount=TINY, at="tmp", stdin=stdin), "stdin cannot be kept there", "TMPDIR")
    assert set((tmp_path / "tmp.list").read_text().split()) <= {".ses", "Microsoft"}
    assert not (tmp_path / "b.wav").exists()


@pytest.mark.parametrize("words", [["a.wav", "-o", "out/b.wav"], ["in", "-o", "out/new"], ["in", "-o", "out"]])
def test_a_read_only_folder_is_told(words: list[str], tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav")
    recording(tmp_path / "in" / "a.wav")
    (tmp_path / "out").mkdir()
    if os.geteuid():
        (tmp_path / "out").chmod(0o500)
    done = run(*words, mount="" if os.geteuid() else LOCKED)
    one_line(done, "out", "Permission denied|Read-only file system")
    assert files(tmp_path / "out") == []


def test_nothing_is_left_in_temporary_folders_and_at_home(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav")
    assert run("a.wav", "-o", "b.wav").returncode == 0
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []


# --- recordings that are inputs and outputs


@pytest.mark.parametrize("name", ["a.wav", "hard.wav", *soaked("./a.wav", "in/../a.wav", "soft.wav", "ABSOLUTE")])
@pytest.mark.parametrize("option", ["-o", "--residual"])
def test_an_output_that_is_the_input_is_refused(name: str, option: str, tmp_path: Path, run: Run) -> None:
    before = recording(tmp_path / "a.wav").read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "soft.wav").symlink_to("a.wav")
    (tmp_path / "hard.wav").hardlink_to(tmp_path / "a.wav")
    name = str(tmp_path / "a.wav") if name == "ABSOLUTE" else name
    words = ["-o", name] if option == "-o" else ["-o", "b.wav", "--residual", name]
    done = run("a.wav", *words, "--force")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    if done.returncode == 1:
        one_line(done, "input itself")
    assert (tmp_path / "a.wav").read_bytes() == before
    assert files(tmp_path) == ["a.wav", "hard.wav", "soft.wav"]


def test_an_output_that_is_no_file_is_refused_and_left_alone(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "b.wav")
    one_line(run("a.wav", "-o", "b.wav", "--force"), "b.wav is no file that could be replaced")
    assert (tmp_path / "b.wav").is_fifo()


def test_a_residual_that_is_the_output_is_refused(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav")
    done = run("a.wav", "-o", "b.wav", "--residual", "./b.wav")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert files(tmp_path) == ["a.wav"]


def test_a_folder_into_itself_is_refused_file_by_file(tmp_path: Path, run: Run) -> None:
    before = [recording(tmp_path / "in" / name).read_bytes() for name in ("a.wav", "b.wav")]
    done = run("in", "-o", "in", "--force")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert [(tmp_path / "in" / name).read_bytes() for name in ("a.wav", "b.wav")] == before
    assert files(tmp_path) == ["in/a.wav", "in/b.wav"]
