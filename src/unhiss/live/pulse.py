"""PulseAudio, and PipeWire through its PulseAudio server: pulsectl lists devices, libpulse-simple moves the audio.

pulsectl has no streams, and libpulse-simple (blocking reads and writes in C) has no list of devices.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from functools import lru_cache
from typing import Any

import numpy as np

from unhiss.errors import AudioError, MissingExtra, UnhissError, need
from unhiss.live.devices import Device, DeviceLost

_FLOAT32LE, _PLAYBACK, _RECORD = 5, 1, 2  # of pa_sample_format and pa_stream_direction
_UNSET = 0xFFFFFFFF


class _SampleSpec(ctypes.Structure):
    _fields_ = (("format", ctypes.c_int), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class _BufferAttributes(ctypes.Structure):
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


@contextmanager
def connect() -> Iterator[Any]:
    """A connected pulsectl.Pulse. Raises AudioError if the server fails, here or within; and MissingExtra."""
    try:
        need("live", "pulsectl")
    except OSError as error:  # raised if the C library is missing
        raise MissingExtra("libpulse (sound servers) is not installed; apt-get install libpulse0") from error
    import pulsectl

    try:
        with pulsectl.Pulse("unhiss", connect=False) as server:
            server.connect()  # with a timeout, pulsectl 24.12 always waits until it is over
            yield server
    except (pulsectl.PulseError, pulsectl.PulseDisconnected) as error:
        hint = "start it again: systemctl --user restart pipewire"
        raise AudioError(f"the sound server does not answer ({error!r}); {hint}") from error


def is_available() -> bool:
    """Whether a sound server runs, and the libraries to reach it are installed."""
    if sys.platform != "linux" or _library() is None:
        return False
    try:
        with connect():
            return True
    except UnhissError:
        return False


def list_devices() -> list[tuple[Any, ...]]:
    """(side, name, label, default, pulse) of each source and sink; the monitor of a sink is a source too."""
    with connect() as server:
        info, sources, sinks = server.server_info(), server.source_list(), server.sink_list()
    rows = [("in", each, info.default_source_name) for each in sources]
    rows += [("out", each, info.default_sink_name) for each in sinks]
    return [(side, each.name, each.description, each.name == default, True) for side, each, default in rows]


def exists(device: Device) -> bool:
    """Whether the source or sink exists; True if the server does not answer, since the next read fails then."""
    try:
        with connect() as server:
            existing = server.source_list() if device.side == "in" else server.sink_list()
            return device.name in [each.name for each in existing]
    except AudioError:
        return True


class PulseDevice:
    """An open source or sink; reads and writes block in C."""

    def __init__(self, device: Device, rate: int, channels: int, block: int, buffer_s: float) -> None:
        self._library, self._channels = _library(), channels
        frame_bytes = 4 * channels
        buffer_bytes = round(buffer_s * rate) * frame_bytes
        self._max_queued_s = 3 * buffer_s + block / rate  # beyond this the latency exceeds what was asked for
        buffers = _BufferAttributes(_UNSET, buffer_bytes, buffer_bytes, block * frame_bytes, block * frame_bytes)
        error = ctypes.c_int()
        self._stream = ctypes.c_void_p(
            self._library.pa_simple_new(
                None, b"unhiss", _RECORD if device.side == "in" else _PLAYBACK, device.name.encode(), b"unhiss live",
                ctypes.byref(_SampleSpec(_FLOAT32LE, rate, channels)), None, ctypes.byref(buffers), ctypes.byref(error),
            )
        )  # fmt: skip
        if not self._stream:
            why = f"cannot be opened ({_reason(error)})"
            raise AudioError(f"{device.label}: {why}; unhiss live --list shows all devices")
        self.latency_s = buffer_s if device.side == "out" else block / rate

    def read(self, size: int) -> np.ndarray:
        block = np.empty((size, self._channels), np.float32)
        self._transfer("read", block)
        return np.ascontiguousarray(block.T)

    def write(self, block: np.ndarray) -> bool:
        error = ctypes.c_int()
        queued_us = self._library.pa_simple_get_latency(self._stream, ctypes.byref(error))
        if not error.value and queued_us > self._max_queued_s * 1e6:
            return False
        self._transfer("write", np.ascontiguousarray(block.T, np.float32))
        return True

    def _transfer(self, direction: str, block: np.ndarray) -> None:
        error = ctypes.c_int()
        call = getattr(self._library, f"pa_simple_{direction}")
        pointer = block.ctypes.data_as(ctypes.c_void_p)
        if call(self._stream, pointer, ctypes.c_size_t(block.nbytes), ctypes.byref(error)) < 0:
            raise DeviceLost(_reason(error))

    def close(self) -> None:
        if self._stream:
            self._library.pa_simple_free(self._stream)
            self._stream = ctypes.c_void_p()


def _reason(error: ctypes.c_int) -> str:
    strerror = ctypes.CDLL("libpulse.so.0").pa_strerror
    strerror.restype = ctypes.c_char_p
    return str(strerror(error).decode())
