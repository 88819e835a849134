"""Messages on the command line name options as they are typed; what to install is said once in a run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.cli.denoise import command
from unhiss.cli.option_names import in_option_names

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
PIP = "run: pip install 'unhiss[media]'"


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    unhiss.write(tmp_path / "a.wav", 3 * np.sin(np.arange(9000) / 9), 16000, "FLOAT")
    return tmp_path / "a.wav"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("b.wav exists; force=True overwrites it", "b.wav exists; --force overwrites it"),
        ("atten_limit_db = -3.0; expected dB", "--atten-limit-db -3.0; expected dB"),
        ("start_s = 2, end_s = 1; expected", "--start 2, --end 1; expected"),
        ("atten_limit_db not with end_to_end", "--atten-limit-db not with --end-to-end"),
        ("clip_mode=rescale keeps them", "--clip-mode rescale keeps them"),
        ("loudness_lufs = 3; expected -16, or None", "--loudness-lufs 3; expected -16"),
        ("end_s = a; expected seconds, or None for the end; stop", "--end a; expected seconds; stop"),
        *((text, text) for text in ("stft.rate = 3", "in_place.wav", "my-in_place", "force_it", "the model and rate")),
    ],
)  # fmt: skip
def test_names_of_python_become_options_and_words_stay(message: str, expected: str) -> None:
    assert in_option_names(message, command) == expected


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-o", "there.wav"], "unhiss: there.wav exists; --force overwrites it"),
        (["-o", "a.wav"], "replace it with --in-place"),
        (["-o", "b.wav", "--atten-limit-db", "nan"], "unhiss: --atten-limit-db nan; expected dB"),
        (["-o", "b.wav", "--mix", "2"], "unhiss: --mix 2.0; expected 0"),
        (["-o", "b.wav", "--start", "2", "--end", "1"], "unhiss: --start 2.0, --end 1.0; expected"),
        (["-o", "b.wav", "--subtype", "PCM_16", "--mix", "0"], "--clip-mode rescale keeps them"),
    ],
)
def test_the_command_line_shows_options(words: list[str], line: str, noisy: Path, run: Run) -> None:
    (noisy.parent / "there.wav").touch()
    done = run("denoise", "a.wav", *words, cwd=noisy.parent)
    assert line in done.stderr.decode()
    assert not any(name in done.stderr.decode() for name in ("force=", "in_place", "atten_limit_db", "clip_mode"))


def test_recordings_of_a_folder_are_named_with_options_too(noisy: Path, run: Run) -> None:
    (noisy.parent / "b.wav").write_bytes(noisy.read_bytes())
    folder = noisy.parent / "clean"
    run("denoise", noisy.parent, "-o", folder, cwd=noisy.parent)
    again = run("denoise", "a.wav", "b.wav", "-o", folder, cwd=noisy.parent)
    assert again.stderr.decode().count("exists; --force overwrites it") == 2


def test_a_warning_names_a_pipe_as_an_error_does(noisy: Path, run: Run) -> None:
    lying = noisy.read_bytes()[:-400]
    done = run("denoise", "-", "-o", "clean.wav", stdin=lying, cwd=noisy.parent)
    assert done.stderr.startswith(b"unhiss: stdin: truncated")


def test_what_to_install_is_said_once_in_a_run_and_every_file_is_named(
    noisy: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.m4a", "c.mp4", "d.mkv"):
        unhiss.write(noisy.parent / name, np.zeros(9000), 48000)
    monkeypatch.setitem(sys.modules, "av", None)
    done = run("denoise", ".", "-o", "clean", cwd=noisy.parent)
    lines = done.stderr.decode().splitlines()
    assert lines[:3] == [
        f"unhiss: b.m4a needs av, which is not installed; {PIP}",
        "unhiss: c.mp4 needs av, which is not installed",
        "unhiss: d.mkv needs av, which is not installed",
    ]
    assert (noisy.parent / "clean" / "a.wav").is_file() and done.returncode == 1
    records = run("denoise", ".", "-o", "clean", "--force", "--json", cwd=noisy.parent).stdout.splitlines()
    assert sum(PIP in json.loads(record).get("error", "") for record in records) == 3, "each record stands alone"


def test_a_pipe_that_needs_an_extra_is_called_stdin(noisy: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unhiss.write(noisy.parent / "b.m4a", np.zeros(9000), 48000)
    data = (noisy.parent / "b.m4a").read_bytes()
    monkeypatch.setitem(sys.modules, "av", None)
    done = run("denoise", "-", "-o", "clean.wav", stdin=data, cwd=noisy.parent)
    assert done.stderr.decode() == f"unhiss: stdin needs av, which is not installed; {PIP}\n"
