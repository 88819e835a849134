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

import numpy as np
import pytest

from unhiss.cli.file_progress import FileProgress, progress_array, progress_callback
from unhiss.media.writer import write

Make = Callable[..., Path]
SOURCE = Path(__file__).parent.parent.parent / "src"
COLUMNS = 80


class RecordedProgress:
    """Records the calls of rich's Progress."""

    def __init__(self) -> None:
        self.tasks: dict[int, dict] = {}

    def add_task(self, description: str, **fields: object) -> int:
        self.tasks[max(self.tasks, default=-1) + 1] = {"description": description, "completed": 0.0, **fields}
        return max(self.tasks)

    def update(self, task: int, **fields: object) -> None:
        self.tasks[task].update(fields)

    def remove_task(self, task: int) -> None:
        del self.tasks[task]

    def refresh(self) -> None: ...


def test_each_recording_in_progress_has_a_bar_with_its_fraction_and_speed() -> None:
    recorded, array = RecordedProgress(), progress_array(3, shared=False)
    progress = FileProgress(recorded, ["a.wav", "b.wav", "c.wav"], array)  # type: ignore[arg-type]
    progress_callback(array, 2)
    array[:3] = [0.25, 60.0, 5.0]
    progress.draw()
    assert [(task["description"], task["completed"]) for task in list(recorded.tasks.values())[1:]] == [
        ("a.wav, 3 x real time", 0.25), ("c.wav", 0.0),
    ]  # fmt: skip
    assert recorded.tasks[0]["completed"] == 0.25
    assert re.fullmatch(r"3 recordings, \d+ x real time", recorded.tasks[0]["description"])
    progress.finish(0, 60.0)
    progress.draw()
    assert [task["description"] for task in recorded.tasks.values()][1:] == ["c.wav"]
    assert recorded.tasks[0]["completed"] == 1.0


def screen(sent: bytes) -> list[str]:
    """The lines on a terminal after the output, which contains text and the few control sequences of rich."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", sent.decode()):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b") and part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif part.startswith("\x1b") and part.endswith("K"):
            lines[row] = ""
        elif not part.startswith(("\x1b", "\r")):
            lines[row] += part
    return [line for line in lines if line]


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
    assert not any("━" in line for line in screen(sent))
    drawn = sent.decode()
    assert re.search(r"4 recordings, \d+ x real time", drawn) and "━" in drawn
    assert re.search(r"\d+ %", drawn) and re.search(r"\d:\d\d:\d\d", drawn)
