"""When the system fails `unhiss denoise` (disk, folder, permissions), it writes one clear line and no partial file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import TIMEOUT_S, UNHISS, files, one_line, recording, soaked

from unhiss.cli import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]
# A mount that only this command sees; permissions do not stop root, but a read-only file system does.
UNSHARE = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
TINY = 'mount -t tmpfs -o size=100k unhiss "$0" || exit 99; "$@"; code=$?; ls -A "$0" > "$0.list"; exit $code'
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" || exit 99; exec "$@"'


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str], options: list[str]) -> Run:
    """`unhiss denoise ...` as a process in tmp_path; `mount`: TINY or READ_ONLY for the folder `at`."""

    def call(*words: object, mount: str = "", at: str = "out", **streams: object) -> subprocess.CompletedProcess[str]:
        prefix = [*UNSHARE, mount, str(tmp_path / at)] if mount else []
        if mount and (
            not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], capture_output=True).returncode
        ):
            pytest.skip("this system permits no mounts: neither a tiny disk nor a read-only one is possible")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
            [*prefix, *UNHISS, *map(str, words), *options],
            cwd=tmp_path, env=environment, text=True, timeout=TIMEOUT_S, **pipes,
        )  # fmt: skip
        if done.returncode == 99:
            pytest.skip("this system permits no mount of a file system")
        return done

    return call


@pytest.fixture
def call(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """`unhiss denoise ...` in tmp_path and in this process, which is faster."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr("sys.argv", ["unhiss", "denoise", *map(str, words), *options])
        with pytest.raises(SystemExit) as end:
            main()
        return subprocess.CompletedProcess([], int(end.value.code or 0), *capsys.readouterr())

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


# --- disks and folders


@pytest.mark.parametrize("extension", ["wav", "mp3", *soaked("w64", "flac", "ogg", "aiff")])
def test_a_full_disk_keeps_no_partial_file(extension: str, tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav", 15 if extension in ("mp3", "ogg") else 3)
    (tmp_path / "out").mkdir()
    done = run("a.wav", "-o", f"out/b.{extension}", mount=TINY)
    one_line(done, r"out/b\.", "is the disk full\\?")
    assert (tmp_path / "out.list").read_text() == ""


@pytest.mark.parametrize("jobs", [1, 2])
def test_on_a_full_disk_complete_files_are_kept_and_the_others_reported(jobs: int, tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "in" / "a.wav", 0.1)
    recording(tmp_path / "in" / "b.wav", 3)
    (tmp_path / "out").mkdir()
    done = run("in", "-o", "out", "-j", jobs, mount=TINY)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 2), done.stderr
    assert re.match(r"unhiss: .*out/b\.wav: .*is the disk full\?", lines[0])
    assert lines[1] == "unhiss: 1 of 2 recordings failed"
    assert (tmp_path / "out.list").read_text().split() == ["a.wav"]


def test_a_full_disk_for_the_residual_is_reported(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav", 3)
    (tmp_path / "out").mkdir()
    one_line(run("a.wav", "-o", "b.wav", "--residual", "out/r.wav", mount=TINY), r"out/r\.wav", "is the disk full\\?")
    assert (tmp_path / "out.list").read_text() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_pipe_into_a_full_disk_is_reported(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav", 3)
    with Path("/dev/full").open("wb") as full:
        done = run("a.wav", "-o", "-", stdout=full)
    assert done.returncode == 1
    assert re.fullmatch(r"unhiss: .*No space left on device.*\n", done.stderr), done.stderr
    assert files(tmp_path / "tmp") == []


def test_a_full_disk_for_piped_input_is_reported(tmp_path: Path, run: Run) -> None:
    with recording(tmp_path / "a.wav", 3).open("rb") as stdin:
        one_line(run("-", "-o", "b.wav", mount=TINY, at="tmp", stdin=stdin), "stdin cannot be kept there", "TMPDIR")
    assert set((tmp_path / "tmp.list").read_text().split()) <= {".ses", "Microsoft"}
    assert not (tmp_path / "b.wav").exists()


@pytest.mark.parametrize("words", [["a.wav", "-o", "out/b.wav"], ["in", "-o", "out/new"], ["in", "-o", "out"]])
def test_a_read_only_folder_is_reported(words: list[str], tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav")
    recording(tmp_path / "in" / "a.wav")
    (tmp_path / "out").mkdir()
    if os.geteuid():
        (tmp_path / "out").chmod(0o500)
    done = run(*words, mount="" if os.geteuid() else READ_ONLY)
    one_line(done, "out", "Permission denied|Read-only file system")
    assert files(tmp_path / "out") == []


def test_no_temporary_file_remains(tmp_path: Path, run: Run) -> None:
    recording(tmp_path / "a.wav")
    assert run("a.wav", "-o", "b.wav").returncode == 0
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []


# --- recordings that are inputs and outputs


@pytest.mark.parametrize("name", ["a.wav", "hard.wav", *soaked("./a.wav", "in/../a.wav", "soft.wav", "ABSOLUTE")])
@pytest.mark.parametrize("option", ["-o", "--residual"])
def test_an_output_that_is_the_input_is_refused(name: str, option: str, tmp_path: Path, call: Run) -> None:
    before = recording(tmp_path / "a.wav").read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "soft.wav").symlink_to("a.wav")
    (tmp_path / "hard.wav").hardlink_to(tmp_path / "a.wav")
    name = str(tmp_path / "a.wav") if name == "ABSOLUTE" else name
    words = ["-o", name] if option == "-o" else ["-o", "b.wav", "--residual", name]
    done = call("a.wav", *words, "--force")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    if done.returncode == 1:
        one_line(done, "input itself")
    assert (tmp_path / "a.wav").read_bytes() == before
    assert files(tmp_path) == ["a.wav", "hard.wav", "soft.wav"]


def test_an_output_that_is_no_file_is_refused_and_left_alone(tmp_path: Path, call: Run) -> None:
    recording(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "b.wav")
    one_line(call("a.wav", "-o", "b.wav", "--force"), "b.wav is no file that could be replaced")
    assert (tmp_path / "b.wav").is_fifo()


def test_a_residual_that_is_the_output_is_refused(tmp_path: Path, call: Run) -> None:
    recording(tmp_path / "a.wav")
    done = call("a.wav", "-o", "b.wav", "--residual", "./b.wav")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert files(tmp_path) == ["a.wav"]


def test_a_folder_into_itself_is_refused_file_by_file(tmp_path: Path, call: Run) -> None:
    before = [recording(tmp_path / "in" / name).read_bytes() for name in ("a.wav", "b.wav")]
    done = call("in", "-o", "in", "--force")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert [(tmp_path / "in" / name).read_bytes() for name in ("a.wav", "b.wav")] == before
    assert files(tmp_path) == ["in/a.wav", "in/b.wav"]
