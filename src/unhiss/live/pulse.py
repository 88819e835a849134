"""PulseAudio, and PipeWire by its PulseAudio side: sources and sinks through libpulse's simple interface."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys
from ctypes.util import find_library
from functools import lru_cache
from typing import Any

import numpy as np

from unhiss.errors import AudioError
from unhiss.live.devices import Device, Gone

_FLOAT32LE, _PLAYBACK, _RECORD = 5, 1, 2  # of pa_sample_format and pa_stream_direction
_UNSET = 0xFFFFFFFF


class _Spec(ctypes.Structure):
    _fields_ = (("format", ctypes.c_int), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class _Buffers(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize"))


@lru_cache(maxsize=1)
def _library() -> Any:
    """libpulse-simple, or None."""
    name = find_library("pulse-simple") or "libpulse-simple.so.0"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    library.pa_simple_new.restype = ctypes.c_void_p
    library.pa_simple_get_latency.restype = ctypes.c_uint64
    return library


def pactl(*words: str) -> str:
    """What pactl answers. Raises AudioError with what it complains of."""
    if not shutil.which("pactl"):
        raise AudioError(
            "pactl, which talks to the sound server, is not installed; run: apt-get install pulseaudio-utils"
        )
    try:
        done = subprocess.run(["pactl", *words], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired as error:
        raise AudioError(
            "the sound server does not answer; start it again: systemctl --user restart pipewire"
        ) from error
    if done.returncode:
        raise AudioError(f"pactl {' '.join(words)}: {done.stderr.strip()}; is a sound server running? pactl info tells")
    return done.stdout


def answers() -> bool:
    """Whether there is a sound server to talk to."""
    if sys.platform != "linux" or not shutil.which("pactl") or _library() is None:
        return False
    try:
        pactl("info")
    except AudioError:
        return False
    return True


def devices() -> list[tuple]:
    """(side, name, label, default, pulse) of each source and sink; a sink's monitor is a source too."""
    facts = json.loads(pactl("-f", "json", "info"))
    found = []
    for side, kind, default in (("in", "sources", "default_source_name"), ("out", "sinks", "default_sink_name")):
        for item in json.loads(pactl("-f", "json", "list", kind)):
            found.append((side, item["name"], item["description"], item["name"] == facts[default], True))
    return found


def there(device: Device) -> bool:
    """Whether its source or sink exists. A server that does not answer has an end of its own: the next read fails."""
    try:
        listed = pactl("list", "short", "sources" if device.side == "in" else "sinks")
    except AudioError:
        return True
    return any(line.split("\t")[1:2] == [device.name] for line in listed.splitlines())


class PulseEnd:
    """A source or a sink, opened; reading and writing wait in C."""

    def __init__(self, device: Device, rate: int, channels: int, block: int, buffer_s: float) -> None:
        self._library, self._channels = _library(), channels
        size = 4 * channels  # bytes
        room = round(buffer_s * rate) * size
        self._most_s = 3 * buffer_s + block / rate  # more than so much waiting is latency that nobody asked for
        buffers = _Buffers(_UNSET, room, room, block * size, block * size)
        error = ctypes.c_int()
        self._stream = ctypes.c_void_p(
            self._library.pa_simple_new(
                None, b"unhiss", _RECORD if device.side == "in" else _PLAYBACK, device.name.encode(), b"unhiss live",
                ctypes.byref(_Spec(_FLOAT32LE, rate, channels)), None, ctypes.byref(buffers), ctypes.byref(error),
            )
        )  # fmt: skip
        if not self._stream:
            raise AudioError(
                f"{device.label}: cannot be opened ({self._reason(error)}); unhiss live --list shows what is there"
            )
        self.latency_s = buffer_s if device.side == "out" else block / rate

    def read(self, size: int) -> np.ndarray:
        block = np.empty((size, self._channels), np.float32)
        self._do("read", block)
        return np.ascontiguousarray(block.T)

    def write(self, block: np.ndarray) -> bool:
        error = ctypes.c_int()
        waiting_us = self._library.pa_simple_get_latency(self._stream, ctypes.byref(error))
        if not error.value and waiting_us > self._most_s * 1e6:
            return False
        self._do("write", np.ascontiguousarray(block.T, np.float32))
        return True

    def _do(self, what: str, block: np.ndarray) -> None:
        error = ctypes.c_int()
        call = getattr(self._library, f"pa_simple_{what}")
        place = block.ctypes.data_as(ctypes.c_void_p)
        if call(self._stream, place, ctypes.c_size_t(block.nbytes), ctypes.byref(error)) < 0:
            raise Gone(self._reason(error))

    def _reason(self, error: ctypes.c_int) -> str:
        strerror = ctypes.CDLL("libpulse.so.0").pa_strerror
        strerror.restype = ctypes.c_char_p
        return str(strerror(error).decode())

    def close(self) -> None:
        if self._stream:
            self._library.pa_simple_free(self._stream)
            self._stream = ctypes.c_void_p()
