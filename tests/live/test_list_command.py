"""`unhiss live --list` with devices and without."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from unhiss.cli import unhiss
from unhiss.errors import UnhissError
from unhiss.live import backends


def test_without_devices_it_says_so_and_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.pulse, "is_available", lambda: False)
    monkeypatch.setattr(backends.portaudio, "list_devices", lambda: [])
    done = CliRunner().invoke(unhiss, ["live", "--list"])
    assert done.stdout == "" and isinstance(done.exception, UnhissError)
    assert done.exception.exit_code == 1
    assert str(done.exception).startswith("no microphone and no speaker was found; connect one")
    if sys.platform == "linux":
        assert "apt-get install pipewire-pulse" in str(done.exception)


def test_with_devices_each_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("out", "1", "Speaker", False, False), ("in", "0", "Microphone", True, False)]
    monkeypatch.setattr(backends.pulse, "is_available", lambda: False)
    monkeypatch.setattr(backends.portaudio, "list_devices", lambda: rows)
    done = CliRunner().invoke(unhiss, ["live", "--list"])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["  0  in   Microphone  [0]  default", "  1  out  Speaker  [1]"]
