"""Progress on a terminal: a bar per recording and one in total, and the lines that remain at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from unhiss.cli import file_progress
from unhiss.cli.file_progress import FileProgress, progress_array, progress_callback
from unhiss.media.writer import write

Make = Callable[..., Path]
SOURCE = Path(__file__).parent.parent.parent / "src"
COLUMNS = 80


class RecordedBar:
    """Records what a ProgressBar is given."""

    shown: ClassVar[list[RecordedBar]] = []  # as they were opened

    def __init__(self, label: str, total: float, interval_s: float) -> None:
        self.label, self.total, self.done = label, total, 0.0
        self.shown.append(self)

    def update(self, done: float, label: str) -> None:
        self.done, self.label = done, label

    def close(self) -> None:
        self.shown.remove(self)


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[RecordedBar]:
    monkeypatch.setattr(file_progress, "ProgressBar", RecordedBar)
    RecordedBar.shown.clear()
    return RecordedBar.shown


def test_each_recording_in_progress_has_a_bar_with_its_fraction_and_speed(bars: list[RecordedBar]) -> None:
    array = progress_array(3, shared=False)
    progress = FileProgress(["a.wav", "b.wav", "c.wav"], array)
    progress_callback(array, 2)
    array[:3] = [0.25, 60.0, 5.0]
    progress.draw()
    assert [(bar.label, bar.done, bar.total) for bar in bars[1:]] == [
        ("a.wav, 3 x real time", 0.25, 1),
        ("c.wav", 0, 1),
    ]
    assert (bars[0].done, bars[0].total) == (0.25, 3)
    assert re.fullmatch(r"3 recordings, \d+ x real time", bars[0].label)
    progress.finish(0, 60.0)
    progress.draw()
    assert [bar.label for bar in bars[1:]] == ["c.wav"]
    assert bars[0].done == 1.0


def test_one_recording_has_one_bar_and_none_remains(bars: list[RecordedBar]) -> None:
    array = progress_array(1, shared=False)
    progress = FileProgress(["a.wav"], array)
    with progress.refreshing():
        progress_callback(array, 0)
        progress.draw()
        assert [bar.label for bar in bars] == ["a.wav"]
    assert not bars


def screen(sent: bytes) -> list[str]:
    """The lines on a terminal after the output: text, returns, new lines, and steps upwards."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", sent.decode()):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            assert part.endswith("A"), part
            row -= int(part[2:-1] or 1)
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize("jobs", [1, 2])
def test_on_a_terminal_lines_remain_and_bars_disappear(jobs: int, tmp_path: Path, causal_model: Make) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "[b]old.wav", "c.wav"):
        write(tmp_path / "in" / name, np.zeros(96000, np.float32), 48000)
    (tmp_path / "in" / "bad.wav").write_bytes(b"nothing of the kind")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "unhiss", "denoise", "in", "-o", "out", "-j", str(jobs), "--model", causal_model()],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    sent = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        sent += part
    assert child.wait() == 1
    for name in ("a.wav", "[b]old.wav", "c.wav"):
        assert f"out/{name}: 2.0 s of audio (1 ch, 48,000 Hz)" in "\n".join(screen(sent))
    assert len(screen(sent)) == 6, screen(sent)
    assert any("bad.wav: not a readable recording" in line for line in screen(sent))
    assert not any("█" in line or " %" in line for line in screen(sent))
    drawn = sent.decode()
    assert re.search(r"4 recordings, \d+ x real time", drawn) and "█" in drawn
    assert re.search(r"\d+ % \d\d:\d\d", drawn)
