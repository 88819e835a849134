"""An event in the middle of a run (a file vanishes, a signal arrives) leads to one line and no partial file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from processes import TIMEOUT_S, UNHISS, files, one_line, recording, soaked

HOLD = Path(__file__).parent / "hold"
LONG_S = 12  # several blocks: a run is stopped after the first


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recording(tmp_path_factory.mktemp("long") / "long.wav", LONG_S)


class Stopped:
    """`unhiss denoise ...` in a process group of its own, stopped after the first block of its output."""

    def __init__(self, folder: Path, words: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [*UNHISS, *words], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        deadline = time.monotonic() + TIMEOUT_S
        events = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        while not (event := os.waitid(os.P_PID, self.process.pid, events)):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert event.si_code == os.CLD_STOPPED, self.process.communicate()
        assert any(folder.rglob(".unhiss-*.part"))

    def resume(self, signal_number: int | None = None, to_group: bool = False) -> subprocess.CompletedProcess[str]:
        """Continue, with a signal if one is given, and wait for the end."""
        if signal_number and to_group:
            os.killpg(self.process.pid, signal_number)
        elif signal_number:
            self.process.send_signal(signal_number)
        os.killpg(self.process.pid, signal.SIGCONT)
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return subprocess.CompletedProcess([], self.process.returncode, out, err)

    def group_is_gone(self) -> bool:
        """Whether no process of the group is left, after a wait."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                os.killpg(self.process.pid, 0)
            except (ProcessLookupError, PermissionError):
                return True
            time.sleep(0.01)
        return False


Start = Callable[..., Stopped]


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str], options: list[str]) -> Iterator[Start]:
    stopped: list[Stopped] = []
    paths = {"PYTHONPATH": f"{HOLD}{os.pathsep}{environment['PYTHONPATH']}", "UNHISS_HOLD": str(tmp_path / ".hold")}

    def call(*words: object) -> Stopped:
        stopped.append(Stopped(tmp_path, [*map(str, words), *options], environment | paths))
        return stopped[-1]

    yield call
    for each in stopped:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.communicate()


def assert_same_audio(one: Path, other: Path) -> None:
    np.testing.assert_allclose(sf.read(one)[0], sf.read(other)[0], atol=2**-14)


def test_a_recording_deleted_midway_is_finished_or_reported(long: Path, tmp_path: Path, start: Start) -> None:
    shutil.copy(long, tmp_path / "a.wav")
    run = start("a.wav", "-o", "b.wav")
    (tmp_path / "a.wav").unlink()
    done = run.resume()
    if done.returncode:
        one_line(done, r"a\.wav")
        assert files(tmp_path) == []
    else:
        assert_same_audio(tmp_path / "b.wav", long)


@pytest.mark.parametrize("extension", ["wav", *soaked("flac")])
def test_a_recording_truncated_midway_is_reported(extension: str, tmp_path: Path, start: Start) -> None:
    path = recording(tmp_path / f"a.{extension}", LONG_S)
    run = start(path.name, "-o", "b.wav")
    os.truncate(path, path.stat().st_size // 2)
    done = run.resume()
    if done.returncode:
        one_line(done, rf"a\.{extension}: (truncated|damaged)")
        assert files(tmp_path) == [path.name]
    else:
        assert f"a.{extension}: truncated, holds" in done.stderr
        assert files(tmp_path) == [path.name, "b.wav"]


def test_an_output_folder_deleted_midway_is_reported(long: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "a.wav").hardlink_to(long)
    (tmp_path / "out").mkdir()
    run = start("a.wav", "-o", "out/b.wav")
    shutil.rmtree(tmp_path / "out")
    one_line(run.resume(), r"out/b\.wav")
    assert files(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_recording_that_vanishes_before_its_turn_is_reported(
    jobs: int, long: Path, tmp_path: Path, start: Start
) -> None:
    recording(tmp_path / "in" / "c.wav")
    recording(tmp_path / "in" / "d.wav")
    for name in ("a.wav", "b.wav"):
        (tmp_path / "in" / name).hardlink_to(long)
    run = start("in", "-o", "out", "-j", jobs)
    (tmp_path / "in" / "c.wav").unlink()
    done = run.resume()
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert re.fullmatch(r"unhiss: .*c\.wav: no such file; .*", first)
    assert last == "unhiss: 1 of 4 recordings failed"
    assert files(tmp_path / "out") == ["a.wav", "b.wav", "d.wav"]


RUNS = {
    "wav": ["in/a.wav", "-o", "out/b.wav"], "two-jobs": ["in", "-o", "out", "-j", "2"],
    "in-place": ["in/a.wav", "--in-place"], "flac": ["in/a.wav", "-o", "out/b.flac"],
    "residual": ["in/a.wav", "-o", "out/b.wav", "--residual", "out/r.wav"],
    "pipe": ["in/a.wav", "-o", "-"], "folder": ["in", "-o", "out"],
}  # fmt: skip
STOPS = [
    pytest.param(kind, number, to_group, id=f"{kind}-{number.name}-{'group' if to_group else 'process'}",
                 marks=[pytest.mark.soak] * ((kind not in list(RUNS)[:2]) or to_group != (kind == "two-jobs")))
    for kind in RUNS for number in (signal.SIGINT, signal.SIGTERM) for to_group in (False, True)
]  # fmt: skip


@pytest.mark.parametrize(("kind", "number", "to_group"), STOPS)
def test_an_interrupted_run_leaves_no_partial_file(
    kind: str, number: signal.Signals, to_group: bool, long: Path, tmp_path: Path, start: Start
) -> None:
    before = long.read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    names = ["a.wav", "b.wav", "c.wav", "d.wav"]
    for name in names:
        (tmp_path / "in" / name).hardlink_to(long)
    run = start(*RUNS[kind])
    done = run.resume(number, to_group)
    assert done.returncode == (130 if number == signal.SIGINT else 143), done.stderr
    several = r"; [012] of 4 recordings are done; --skip-existing does the rest" if RUNS[kind][0] == "in" else ""
    expected = rf"\n?unhiss: interrupted{several}\n" if number == signal.SIGINT else ""
    assert re.fullmatch(expected, done.stderr), done.stderr
    assert run.group_is_gone()
    assert files(tmp_path / "in") == names
    assert all((tmp_path / "in" / name).read_bytes() == before for name in names)
    assert set(files(tmp_path / "out")) <= {"a.wav", "b.wav"}  # no worker starts another
    for name in files(tmp_path / "out"):  # of two workers, each may complete what it has before the signal arrives
        assert kind == "two-jobs" and not name.startswith(".")
        assert_same_audio(tmp_path / "out" / name, long)
    assert files(tmp_path / "tmp") == []
