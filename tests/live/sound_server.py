"""A private PulseAudio server: two sinks in a temporary folder, no hardware, no login session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from missing_tools import skip_or_fail

import unhiss

SOURCE = Path(unhiss.__file__).parent.parent
TIMEOUT_S = 60  # only a hang takes this long
SINKS = ("noisy", "cleaned")


def sink(name: str) -> str:
    return f"module-null-sink sink_name={name} format=float32le channels=1 rate=48000"


class SoundServer:
    """`start`, `stop`, `pactl(...)`, `unhiss(...)`; `env` is the environment of programs that use the server."""

    def __init__(self, folder: Path) -> None:
        for name in ("pulseaudio", "pactl", "parec", "paplay"):
            if not shutil.which(name):
                skip_or_fail(f"{name} is not installed; apt-get install pulseaudio pulseaudio-utils")
        self.folder, self.home = folder, folder / "home"
        (folder / "run").mkdir(mode=0o700)
        self.home.mkdir()
        paths = {"XDG_RUNTIME_DIR": str(folder / "run"), "HOME": str(self.home), "PYTHONPATH": str(SOURCE)}
        removed = ("PULSE_SERVER", "PULSE_RUNTIME_PATH", "XDG_CONFIG_HOME", "DISPLAY")
        self.env = {key: value for key, value in os.environ.items() if key not in removed} | paths
        self._daemon: subprocess.Popen[bytes] | None = None
        self.children: list[subprocess.Popen[bytes]] = []  # killed after a failed test

    def start(self, *options: str) -> None:
        loads = ["module-native-protocol-unix", *map(sink, SINKS)]
        with (self.folder / "pulse.log").open("a") as log:
            self._daemon = subprocess.Popen(
                ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
                 *(word for load in loads for word in ("-L", load)), *options],
                env=self.env, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        until(lambda: self.answers(), "sound server")

    def stop(self) -> None:
        if self._daemon:
            self._daemon.kill()
            self._daemon.wait()
            (self.folder / "run" / "pulse" / "native").unlink(missing_ok=True)

    def answers(self) -> bool:
        return subprocess.run(["pactl", "info"], env=self.env, capture_output=True).returncode == 0

    def pactl(self, *words: str) -> str:
        return subprocess.run(["pactl", *words], env=self.env, capture_output=True, text=True, check=True).stdout

    def unhiss(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "unhiss", "live", *words],
            env=self.env, capture_output=True, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip


class LiveProcess:
    """`unhiss live` as a process; `stderr()` is its output so far."""

    def __init__(self, server: SoundServer, *words: str) -> None:
        self._log = server.folder / "live.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unhiss", "live", *words],
                env=server.env, stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        server.children.append(self._process)

    def stderr(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        until(lambda: self.stderr().count(text) >= times or self._process.poll() is not None, text)
        assert self.stderr().count(text) >= times, self.stderr()

    def end(self) -> int:
        self._process.terminate()
        return self._process.wait(TIMEOUT_S)


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, f"no {what} within {TIMEOUT_S} s"
        time.sleep(0.05)
