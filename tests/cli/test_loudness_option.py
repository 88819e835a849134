"""`unhiss denoise --loudness`: files, folders and pipes come out at one loudness, and the report says so."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from ffmpeg_meter import ffmpeg_loudness

Make = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
RATE = 48_000
METER = 0.02  # LU


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Three recordings of different loudness and channels."""
    path = tmp_path / "in"
    path.mkdir()
    for name, level, channels in (("a", 0.002, 1), ("b", 0.02, 2), ("c", 0.1, 1)):
        sf.write(path / f"{name}.wav", level * rng.standard_normal((RATE, channels)), RATE, "PCM_24")
    return path


def loudness(data: Path | bytes) -> float:
    audio, rate = sf.read(io.BytesIO(data) if isinstance(data, bytes) else data, dtype="float32", always_2d=True)
    return ffmpeg_loudness(audio.T, rate)[0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_recordings_of_a_folder_get_one_loudness(
    jobs: int, run: Run, folder: Path, tmp_path: Path, frame_model: Make
) -> None:
    done = run("denoise", folder, "-o", tmp_path / "out", "--model", frame_model(), "--loudness", -24, "-j", jobs)
    assert (done.returncode, done.stderr) == (0, b"")
    outputs = sorted((tmp_path / "out").iterdir())
    assert [loudness(path) for path in outputs] == [pytest.approx(-24, abs=METER)] * 3


def test_the_report_has_loudness_true_peak_and_gain(run: Run, folder: Path, tmp_path: Path, frame_model: Make) -> None:
    plain = ("denoise", folder / "b.wav", "-o", tmp_path / "b.wav", "--model", frame_model(), "--force")
    run(*plain)
    gain_db, words = -24 - loudness(tmp_path / "b.wav"), (*plain, "--loudness", -24)
    lines = run(*words).stdout.decode().splitlines()
    fields = json.loads(run(*words, "--json").stdout)
    assert fields["output_lufs"] == pytest.approx(-24, abs=METER)
    assert fields["gain_db"] == pytest.approx(gain_db, abs=0.05)
    peak = 20 * np.log10(np.abs(sf.read(tmp_path / "b.wav")[0]).max())
    assert peak - 0.01 <= fields["output_dbtp"] < peak + 1.5
    assert lines[2] == f"  loudness -24.0 LUFS, true peak {fields['output_dbtp']:.1f} dBTP, gain {gain_db:+.1f} dB"


def test_without_the_option_the_report_has_no_loudness(
    run: Run, folder: Path, tmp_path: Path, frame_model: Make
) -> None:
    words = ("denoise", folder / "b.wav", "-o", tmp_path / "b.wav", "--model", frame_model())
    assert b"loudness" not in run(*words).stdout
    assert json.loads(run(*words, "--force", "--json").stdout)["gain_db"] is None


def test_a_pipe_has_the_loudness(run: Run, folder: Path, frame_model: Make, tmp_path: Path) -> None:
    from test_denoise import run_process  # in a process of its own, whose stdin is a pipe

    data = (folder / "c.wav").read_bytes()
    done = run_process("denoise", "-", "-o", "-", "--model", frame_model(), "--loudness", -24, stdin=data)
    assert loudness(done.stdout) == pytest.approx(-24, abs=METER)
    assert b"loudness -24.0 LUFS" in done.stderr


def test_a_silent_recording_keeps_its_level_and_says_so(run: Run, tmp_path: Path, frame_model: Make) -> None:
    sf.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    done = run("denoise", tmp_path / "silent.wav", "-o", tmp_path / "out.wav", "--model", frame_model(),
               "--loudness", -16)  # fmt: skip
    assert done.returncode == 0
    assert b"silent.wav: no loudness to measure (nothing is above -70 LUFS): the level stays as it is" in done.stderr
    assert b"  loudness - LUFS, true peak -100.0 dBTP, gain +0.0 dB" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--loudness", "16"), b"--loudness-lufs 16.0; expected LUFS from -60 to 0, such as -16"),
        (("--loudness", "-16", "--residual", "r.wav"), b"--loudness-lufs changes; leave one of the two out"),
        (("--loudness", "-16LUFS"), b"'-16LUFS' is not a valid float"),
    ],
)
def test_a_wrong_target_is_refused_with_exit_code_2(
    words: tuple[str, ...], line: bytes, run: Run, folder: Path, tmp_path: Path
) -> None:
    done = run("denoise", folder / "a.wav", "-o", tmp_path / "out.wav", *words)
    assert done.returncode == 2 and line in done.stderr
    assert not (tmp_path / "out.wav").exists()
