"""The screen of `unhiss live`: the line with the meters fits the terminal, and lines come above it."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from unhiss.cli.live_screen import Screen, status_line


def session(dropped: int = 0, bypass: bool = False) -> Any:
    status = SimpleNamespace(noisy_dbfs=-15.0, clean_dbfs=-45.0, load=0.123, latency_ms=155, dropped=dropped)
    return SimpleNamespace(status=status, stream=SimpleNamespace(bypass=bypass))


def test_in_a_terminal_of_80_columns_the_meters_leave_room_for_the_keys() -> None:
    assert status_line(session(), 79) == (
        "in ███████··  -15 dB out ██·······  -45 dB load  12 % 155 ms [b bypass, q quit]"
    )
    assert len(status_line(session(dropped=12, bypass=True), 79)) <= 79
    assert status_line(session(), 500).count("█") == 18 + 6


def test_lines_come_above_the_status_which_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    screen = Screen()
    screen.say("to begin with")
    screen.draw("a line that is longer than twenty columns")
    screen.say("no audio")
    screen.draw("short")
    screen.close()
    screen.close()
    blank = " " * 19
    assert terminal.getvalue() == (f"to begin with\na line that is long\r{blank}\rno audio\nshort\r     \r")


def test_without_a_terminal_no_status_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    screen = Screen()
    screen.draw("status")
    screen.say("no audio")
    screen.close()
    assert file.getvalue() == "no audio\n"
