"""What happens in the middle of a run - a file vanishes, a signal comes - leaves a line, and no partial file."""

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
from processes import PATIENCE_S, UNHISS, files, one_line, recording, soaked

BEGUN = 100_000  # bytes of an output that is under way, and far from done


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seconds of work even for a model that does next to nothing."""
    return recording(tmp_path_factory.mktemp("long") / "long.wav", 90)


class Begun:
    """`unhiss denoise ...` in a session of its own, held still when its output has grown."""

    def __init__(self, folder: Path, words: list[str], environment: dict[str, str]) -> None:
        self.folder = folder
        self.child = subprocess.Popen(
            [*UNHISS, *words], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while not any(self._size(path) > BEGUN for path in folder.rglob(".unhiss-*.part")):
            assert self.child.poll() is None and time.monotonic() < deadline, self.child.communicate()
            time.sleep(0.002)
        os.killpg(self.child.pid, signal.SIGSTOP)

    def end(self, sent: int | None = None, to_all: bool = False) -> subprocess.CompletedProcess[str]:
        """Goes on, maybe with a signal, to its end."""
        if sent and to_all:
            os.killpg(self.child.pid, sent)
        elif sent:
            self.child.send_signal(sent)
        os.killpg(self.child.pid, signal.SIGCONT)
        out, err = self.child.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess([], self.child.returncode, out, err)

    def alone(self) -> bool:
        """No process of its session goes on."""
        for _ in range(500):
            try:
                os.killpg(self.child.pid, 0)
            except (ProcessLookupError, PermissionError):
                return True
            time.sleep(0.01)
        return False

    @staticmethod
    def _size(path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:  # renamed since it was listed
            return 0


Begin = Callable[..., Begun]


@pytest.fixture
def begin(tmp_path: Path, environment: dict[str, str], options: list[str]) -> Iterator[Callable[..., Begun]]:
    begun: list[Begun] = []

    def start(*words: object) -> Begun:
        begun.append(Begun(tmp_path, [*map(str, words), *options], environment))
        return begun[-1]

    yield start
    for one in begun:
        if one.child.poll() is None:
            os.killpg(one.child.pid, signal.SIGKILL)
            one.child.communicate()


def same_sound(one: Path, other: Path) -> None:
    np.testing.assert_allclose(sf.read(one)[0], sf.read(other)[0], atol=2**-14)


def test_a_recording_deleted_midway_is_finished_or_told(long: Path, tmp_path: Path, begin: Begin) -> None:
    shutil.copy(long, tmp_path / "a.wav")
    begun = begin("a.wav", "-o", "b.wav")
    (tmp_path / "a.wav").unlink()
    done = begun.end()
    if done.returncode:
        one_line(done, r"a\.wav")
        assert files(tmp_path) == []
    else:
        same_sound(tmp_path / "b.wav", long)


@pytest.mark.parametrize("extension", ["wav", *soaked("flac")])
def test_a_recording_cut_midway_is_told(extension: str, tmp_path: Path, begin: Begin) -> None:
    path = recording(tmp_path / f"a.{extension}", 90)
    begun = begin(path.name, "-o", "b.wav")
    os.truncate(path, path.stat().st_size // 2)
    one_line(begun.end(), rf"a\.{extension}: (truncated|damaged)")
    assert files(tmp_path) == [path.name]


def test_an_output_folder_deleted_midway_is_told(long: Path, tmp_path: Path, begin: Begin) -> None:
    (tmp_path / "a.wav").hardlink_to(long)
    (tmp_path / "out").mkdir()
    begun = begin("a.wav", "-o", "out/b.wav")
    shutil.rmtree(tmp_path / "out")
    one_line(begun.end(), r"out/b\.wav")
    assert files(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_recording_that_vanishes_before_its_turn_is_listed(
    jobs: int, long: Path, tmp_path: Path, begin: Begin
) -> None:
    recording(tmp_path / "in" / "c.wav")
    recording(tmp_path / "in" / "d.wav")
    for name in ("a.wav", "b.wav"):
        (tmp_path / "in" / name).hardlink_to(long)
    begun = begin("in", "-o", "out", "-j", jobs)
    (tmp_path / "in" / "c.wav").unlink()
    done = begun.end()
    assert done.returncode == 1
    assert re.fullmatch(r"unhiss: .*c\.wav: no such file\nunhiss: 1 of 4 recordings failed\n", done.stderr), done.stderr
    assert files(tmp_path / "out") == ["a.wav", "b.wav", "d.wav"]


RUNS = {
    "wav": ["in/a.wav", "-o", "out/b.wav"], "two-jobs": ["in", "-o", "out", "-j", "2"],
    "in-place": ["in/a.wav", "--in-place"], "flac": ["in/a.wav", "-o", "out/b.flac"],
    "residual": ["in/a.wav", "-o", "out/b.wav", "--residual", "out/r.wav"],
    "pipe": ["in/a.wav", "-o", "-"], "folder": ["in", "-o", "out"],
}  # fmt: skip
STOPS = [
    pytest.param(kind, sent, to_all, id=f"{kind}-{sent.name}-{'group' if to_all else 'process'}",
                 marks=[pytest.mark.soak] * ((kind not in list(RUNS)[:2]) or to_all != (kind == "two-jobs")))
    for kind in RUNS for sent in (signal.SIGINT, signal.SIGTERM) for to_all in (False, True)
]  # fmt: skip


@pytest.mark.parametrize(("kind", "sent", "to_all"), STOPS)
def test_stopped_midway_leaves_nothing_half_done(
    kind: str, sent: int, to_all: bool, long: Path, tmp_path: Path, begin: Begin
) -> None:
    before = long.read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    names = ["a.wav", "b.wav", "c.wav", "d.wav"]
    for name in names:
        (tmp_path / "in" / name).hardlink_to(long)
    begun = begin(*RUNS[kind])
    done = begun.end(sent, to_all)
    assert done.returncode == (130 if sent == signal.SIGINT else 143), done.stderr
    several = r"; [01] of 4 recordings are done; --skip-existing does the rest" if RUNS[kind][0] == "in" else ""
    said = rf"\n?unhiss: interrupted{several}\n" if sent == signal.SIGINT else ""
    assert re.fullmatch(said, done.stderr), done.stderr
    assert begun.alone()
    assert files(tmp_path / "in") == names
    assert all((tmp_path / "in" / name).read_bytes() == before for name in names)
    assert len(files(tmp_path / "out")) <= 1  # nobody begins another
    for name in files(tmp_path / "out"):  # one of several may have come to its end
        assert kind == "two-jobs" and not name.startswith(".")
        same_sound(tmp_path / "out" / name, long)
    assert files(tmp_path / "tmp") == []
