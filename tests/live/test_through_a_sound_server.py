"""unhiss live for real: noisy speech played into one sink of a PulseAudio, clean speech recorded from the other."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate, resample_poly
from sound_server import PATIENCE_S, LiveProcess, SoundServer, sink, until

import unhiss
from unhiss.live.virtual_mic import BEGIN
from unhiss.score.metrics import si_sdr

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
RATE = 48000
PIECE = RATE // 4
ROOMY = ("--buffer-ms", "400")
ROOMIEST = ("--buffer-ms", "2000")  # a machine that is busy with other things must not make gaps in what is scored
FLOAT = ["--format=float32le", f"--rate={RATE}", "--channels=1", "--raw"]
STEP = 2.0**-22  # of 24 bits, and the rounding before


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    server = SoundServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        for child in server.children:
            child.kill()
            child.wait()
        server.stop()


def at_48_khz(name: str) -> np.ndarray:
    sound, rate = unhiss.read(EXAMPLES / name)
    return resample_poly(sound, RATE, rate).astype(np.float32)


def play(server: SoundServer, sound: np.ndarray) -> None:
    subprocess.run(
        ["pacat", "--playback", "-d", "noisy", "--latency-msec=2000", *FLOAT], input=sound.tobytes(), env=server.env,
        check=True, timeout=PATIENCE_S,
    )  # fmt: skip


def test_noisy_speech_comes_out_clean(server: SoundServer, tmp_path: Path) -> None:
    noisy, clean = (at_48_khz(name)[: 6 * RATE] for name in ("noisy.wav", "clean.wav"))
    live = LiveProcess(
        server, "--in", "noisy.monitor", "--out", "cleaned", "--record", str(tmp_path / "both"), *ROOMIEST
    )
    live.wait_for("late in all")
    with (tmp_path / "heard.raw").open("wb") as heard_file:
        ear = subprocess.Popen(
            ["parec", "-d", "cleaned.monitor", "--latency-msec=2000", *FLOAT], env=server.env, stdout=heard_file
        )
        play(server, np.concatenate([noisy, np.zeros(4 * RATE, np.float32)]))
        ear.send_signal(signal.SIGINT)
        ear.wait(PATIENCE_S)
    assert live.end() == 0, live.said()
    assert "Traceback" not in live.said()

    into, out = (unhiss.read(tmp_path / f"both.{side}.wav")[0] for side in ("noisy", "clean"))
    offline = unhiss.denoise(into, RATE)
    np.testing.assert_allclose(out, offline, atol=1e-5 + STEP)

    # Each piece by itself: where a busy machine lets a server stumble, the rest of the sound comes later.
    heard = np.fromfile(tmp_path / "heard.raw", np.float32)
    as_offline = [si_sdr(found(piece, heard), piece) for piece in spoken(offline)]
    assert len(as_offline) >= 3 and np.median(as_offline) > 40, as_offline
    better = [si_sdr(found(piece, heard), piece) - si_sdr(found(piece, noisy), piece) for piece in spoken(clean)]
    assert len(better) >= 3 and np.median(better) > 3, better


def spoken(sound: np.ndarray) -> list[np.ndarray]:
    """Pieces of a quarter of a second in which somebody speaks, after the model has heard the noise for a second."""
    pieces = np.split(sound[: sound.size // PIECE * PIECE], sound.size // PIECE)
    return [piece for piece in pieces[4:] if np.sqrt(np.mean(piece**2)) > 0.02]


def found(piece: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Where it fits best."""
    start = int(np.argmax(correlate(whole, piece, mode="valid", method="fft")))
    return whole[start : start + PIECE]


@pytest.mark.parametrize("what", ["source", "server"])
def test_a_device_that_vanishes_and_comes_back_is_used_again(what: str, server: SoundServer, tmp_path: Path) -> None:
    live = LiveProcess(server, "--in", "noisy.monitor", "--out", "cleaned", "--record", str(tmp_path / "both"), *ROOMY)
    live.wait_for("late in all")
    if what == "source":
        modules = server.pactl("list", "short", "modules").splitlines()
        server.pactl("unload-module", next(line.split()[0] for line in modules if "sink_name=noisy" in line))
        live.wait_for("a device went away")
        server.pactl("load-module", *sink("noisy").split())
    else:
        server.stop()
        live.wait_for("a device went away")
        server.start()
    live.wait_for("late in all", times=2)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    play(server, np.concatenate([tone, np.zeros(RATE, np.float32)]))
    assert live.end() == 0, live.said()
    assert "Traceback" not in live.said()
    assert np.abs(unhiss.read(tmp_path / "both.noisy.wav")[0]).max() > 0.4  # heard after it came back


def test_the_virtual_microphone_comes_stays_and_goes(server: SoundServer) -> None:
    settings = server.home / ".config" / "pulse" / "default.pa"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("# mine\n")
    for _ in range(2):  # a second time changes nothing
        done = server.unhiss("--install-virtual-mic")
        assert (done.returncode, done.stderr) == (0, "")
        assert server.pactl("list", "sources").count("Description: Unhiss microphone") == 1
    assert settings.read_text().count(BEGIN) == 1

    server.stop()
    server.start("-F", str(settings))  # as at the next login
    listed = server.unhiss("--list").stdout
    assert "Unhiss microphone  [unhiss_microphone]" in listed and "Unhiss output  [unhiss_output]" in listed

    done = server.unhiss("--in", "noisy.monitor", "--seconds", "0.5", *ROOMY)  # where to is known by itself
    assert done.returncode == 0 and "-> Unhiss output" in done.stderr
    howl = server.unhiss("--in", "unhiss_microphone", "--seconds", "0.5")
    assert howl.returncode == 1 and "would howl; choose another --in" in howl.stderr

    assert server.unhiss("--remove-virtual-mic").returncode == 0
    assert "unhiss" not in server.pactl("list", "short", "sources")
    assert settings.read_text() == "# mine\n"
    assert server.unhiss("--remove-virtual-mic").stdout == "there was no virtual microphone\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--in", "nosuch"), "--in 'nosuch': no such microphone; known: Monitor of Null Output"),
        (("--in", "Monitor"), "fits 'Monitor of Null Output', 'Monitor of Null Output'; take one's number"),
        (("--in", "noisy.monitor", "--out", "noisy"), "it would howl"),
    ],
)
def test_a_wrong_choice_is_one_line(words: tuple[str, ...], line: str, server: SoundServer) -> None:
    done = server.unhiss(*words, "--seconds", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert line in done.stderr and done.stderr.count("\n") == 1


def test_keys_and_meters_work_on_a_terminal(server: SoundServer) -> None:
    ours, theirs = pty.openpty()
    live = subprocess.Popen(
        [sys.executable, "-m", "unhiss", "live", "--in", "noisy.monitor", "--out", "cleaned", *ROOMY],
        env=server.env | {"COLUMNS": "160", "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    server.children.append(live)
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = ""

    def sees(text: str) -> bool:
        nonlocal shown
        try:
            shown += os.read(ours, 65536).decode(errors="replace")
        except (BlockingIOError, OSError):
            time.sleep(0.01)
        return text in shown

    until(lambda: sees("[b bypass, q end]"), "the meters")
    assert "load" in shown and " ms " in shown and "BYPASS" not in shown
    os.write(ours, b"b")
    until(lambda: sees("BYPASS"), "the bypass")
    os.write(ours, b"q")
    until(lambda: sees("nothing") or live.poll() is not None, "the end")
    assert live.returncode == 0 and "Traceback" not in shown
    os.close(ours)
