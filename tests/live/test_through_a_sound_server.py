"""unhiss live with a real PulseAudio: noisy speech is played to one sink, and clean speech recorded from another."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.signal import correlate, resample_poly
from sound_server import TIMEOUT_S, LiveProcess, SoundServer, sink, until

import unhiss
from unhiss.cli.live import command as live_command
from unhiss.errors import AudioError
from unhiss.live.virtual_mic import BEGIN
from unhiss.score.metrics import si_sdr

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
RATE = 48000
SEGMENT = RATE // 4
LARGE_BUFFER = ("--buffer-ms", "400")
LARGEST_BUFFER = ("--buffer-ms", "2000")  # so that a busy machine makes no gaps in the audio to be scored
FLOAT = ["--format=float32le", f"--rate={RATE}", "--channels=1", "--raw"]
STEP = 2.0**-22  # quantisation to 24 bits, and the rounding before it


@contextmanager
def running_server(folder: Path) -> Iterator[SoundServer]:
    server = SoundServer(folder)
    server.start()
    try:
        yield server
    finally:
        for child in server.children:
            child.kill()
            child.wait()
        server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    """A server that the test may change or stop."""
    with running_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    with running_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def at_48_khz(name: str) -> np.ndarray:
    audio, rate = unhiss.read(EXAMPLES / name)
    return resample_poly(audio, RATE, rate).astype(np.float32)


def play(server: SoundServer, audio: np.ndarray) -> None:
    subprocess.run(
        ["pacat", "--playback", "-d", "noisy", "--latency-msec=2000", *FLOAT], input=audio.tobytes(), env=server.env,
        check=True, timeout=TIMEOUT_S,
    )  # fmt: skip


def test_noisy_speech_is_denoised(shared_server: SoundServer, tmp_path: Path) -> None:
    noisy, clean = (at_48_khz(name)[: 6 * RATE] for name in ("noisy.wav", "clean.wav"))
    live = LiveProcess(
        shared_server, "--in", "noisy.monitor", "--out", "cleaned", "--record", str(tmp_path / "both"), *LARGEST_BUFFER
    )
    live.wait_for("total latency")
    with (tmp_path / "output.raw").open("wb") as file:
        recorder = subprocess.Popen(
            ["parec", "-d", "cleaned.monitor", "--latency-msec=2000", *FLOAT], env=shared_server.env, stdout=file
        )
        play(shared_server, np.concatenate([noisy, np.zeros(4 * RATE, np.float32)]))
        recorder.send_signal(signal.SIGINT)
        recorder.wait(TIMEOUT_S)
    assert live.end() == 0, live.stderr()
    assert "Traceback" not in live.stderr()

    recorded, clean_recorded = (unhiss.read(tmp_path / f"both.{side}.wav")[0] for side in ("noisy", "clean"))
    offline = unhiss.denoise(recorded, RATE)
    np.testing.assert_allclose(clean_recorded, offline, atol=1e-5 + STEP)

    # Each segment by itself: an underrun on a busy machine shifts all audio after it.
    output = np.fromfile(tmp_path / "output.raw", np.float32)
    as_offline = [si_sdr(best_match(segment, output), segment) for segment in speech_segments(offline)]
    assert len(as_offline) >= 3 and np.median(as_offline) > 40, as_offline
    gains_db = [
        si_sdr(best_match(segment, output), segment) - si_sdr(best_match(segment, noisy), segment)
        for segment in speech_segments(clean)
    ]
    assert len(gains_db) >= 3 and np.median(gains_db) > 3, gains_db


def speech_segments(audio: np.ndarray) -> list[np.ndarray]:
    """Segments of a quarter of a second with speech, after one second in which the model adapts to the noise."""
    segments = np.split(audio[: audio.size // SEGMENT * SEGMENT], audio.size // SEGMENT)
    return [segment for segment in segments[4:] if np.sqrt(np.mean(segment**2)) > 0.02]


def best_match(segment: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """The part of `audio` that correlates best with `segment`."""
    start = int(np.argmax(correlate(audio, segment, mode="valid", method="fft")))
    return audio[start : start + SEGMENT]


@pytest.mark.parametrize("lost", ["source", "server"])
def test_a_lost_device_is_used_again_when_it_returns(lost: str, server: SoundServer, tmp_path: Path) -> None:
    live = LiveProcess(
        server, "--in", "noisy.monitor", "--out", "cleaned", "--record", str(tmp_path / "both"), *LARGE_BUFFER
    )
    live.wait_for("total latency")
    if lost == "source":
        modules = server.pactl("list", "short", "modules").splitlines()
        server.pactl("unload-module", next(line.split()[0] for line in modules if "sink_name=noisy" in line))
        live.wait_for("device lost")
        server.pactl("load-module", *sink("noisy").split())
    else:
        server.stop()
        live.wait_for("device lost")
        server.start()
    live.wait_for("total latency", times=2)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    play(server, np.concatenate([tone, np.zeros(RATE, np.float32)]))
    assert live.end() == 0, live.stderr()
    assert "Traceback" not in live.stderr()
    assert np.abs(unhiss.read(tmp_path / "both.noisy.wav")[0]).max() > 0.4  # recorded after the device returned


def run_here(server: SoundServer, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """`unhiss live` in this process, with the environment of `server`."""
    for name in os.environ.keys() - server.env.keys():
        monkeypatch.delenv(name)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("unhiss.cli.live._exit_cleanly", lambda: None)  # the signal handlers of pytest stay
    return CliRunner().invoke(live_command, words)


def test_the_virtual_microphone_is_installed_kept_and_removed(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = server.home / ".config" / "pulse" / "default.pa"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("# mine\n")
    for _ in range(2):  # a second time changes nothing
        done = run_here(server, monkeypatch, "--install-virtual-mic")
        assert (done.exit_code, done.stderr) == (0, "")
        assert server.pactl("list", "sources").count("Description: Unhiss microphone") == 1
    assert settings.read_text().count(BEGIN) == 1

    server.stop()
    server.start("-F", str(settings))  # as at the next login
    listed = run_here(server, monkeypatch, "--list").stdout
    assert "Unhiss microphone  [unhiss_microphone]" in listed and "Unhiss output  [unhiss_output]" in listed

    # The virtual microphone is the default target.
    done = run_here(server, monkeypatch, "--in", "noisy.monitor", "--seconds", "0.5", *LARGE_BUFFER)
    assert done.exit_code == 0 and "-> Unhiss output" in done.stderr
    refused = server.unhiss("--in", "unhiss_microphone", "--seconds", "0.5")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "records what Unhiss output plays: feedback; choose another microphone" in refused.stderr

    assert run_here(server, monkeypatch, "--remove-virtual-mic").exit_code == 0
    assert "unhiss" not in server.pactl("list", "short", "sources")
    assert settings.read_text() == "# mine\n"
    assert run_here(server, monkeypatch, "--remove-virtual-mic").stdout == "there was no virtual microphone\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--in", "nosuch"), "source = 'nosuch': no such microphone; known: Monitor of Null Output"),
        (("--in", "Monitor"), "matches 'Monitor of Null Output', 'Monitor of Null Output'; give the number of one"),
        (("--in", "noisy.monitor", "--out", "noisy"), ": feedback"),
    ],
)
def test_a_wrong_device_is_refused(
    words: tuple[str, ...], line: str, shared_server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = run_here(shared_server, monkeypatch, *words, "--seconds", "1").exception
    assert isinstance(error, AudioError) and line in str(error) and "\n" not in str(error)


def test_keys_and_meters_work_on_a_terminal(shared_server: SoundServer) -> None:
    terminal, of_process = pty.openpty()
    live = subprocess.Popen(
        [sys.executable, "-m", "unhiss", "live", "--in", "noisy.monitor", "--out", "cleaned", *LARGE_BUFFER],
        env=shared_server.env | {"COLUMNS": "160", "TERM": "xterm"},
        stdin=of_process, stdout=of_process, stderr=of_process,
    )  # fmt: skip
    shared_server.children.append(live)
    os.close(of_process)
    os.set_blocking(terminal, False)
    output = ""

    def shows(text: str) -> bool:
        nonlocal output
        try:
            output += os.read(terminal, 65536).decode(errors="replace")
        except (BlockingIOError, OSError):
            time.sleep(0.01)
        return text in output

    until(lambda: shows("[b bypass, q quit]"), "meters")
    assert "load" in output and " ms " in output and "BYPASS" not in output
    os.write(terminal, b"b")
    until(lambda: shows("BYPASS"), "bypass")
    os.write(terminal, b"q")
    until(lambda: shows("nothing") or live.poll() is not None, "exit")
    assert live.returncode == 0 and "Traceback" not in output
    os.close(terminal)
