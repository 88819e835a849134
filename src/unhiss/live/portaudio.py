"""PortAudio, through sounddevice: microphones and speakers of any system."""

import sys
from typing import Any

import numpy as np

from unhiss.errors import AudioError, MissingExtra, need
from unhiss.live.devices import Device, DeviceLost


def _sounddevice() -> Any:
    """The sounddevice module. Raises MissingExtra if it or its C library is missing."""
    try:
        need("live", "sounddevice")
    except OSError as error:  # raised if the C library is missing
        linux, other = "apt-get install libportaudio2", "pip install --force-reinstall sounddevice"
        line = linux if sys.platform == "linux" else other
        raise MissingExtra(f"PortAudio, the library for audio devices, is not installed; run: {line}") from error
    import sounddevice

    return sounddevice


def list_devices() -> list[tuple[Any, ...]]:
    """(side, name, label, default, pulse) of each side of each device; the name is PortAudio's number."""
    sd = _sounddevice()
    sd._terminate()  # PortAudio lists devices only once, at initialisation
    sd._initialize()
    defaults = dict(zip(("in", "out"), sd.default.device, strict=True))
    rows = []
    for number, info in enumerate(sd.query_devices()):
        label = f"{info['name']} ({sd.query_hostapis(info['hostapi'])['name']})"
        available = [side for side in defaults if info[f"max_{side}put_channels"]]
        rows += [(side, str(number), label, number == defaults[side], False) for side in available]
    return rows


class PortAudioDevice:
    """An open device. No Python code runs in the audio callback: PortAudio fills or drains a ring buffer in C."""

    def __init__(self, device: Device, rate: int, channels: int, block: int, buffer_s: float) -> None:
        self._sd = _sounddevice()
        make = self._sd.InputStream if device.side == "in" else self._sd.OutputStream
        try:
            self._stream = make(
                samplerate=rate, blocksize=block, device=int(device.name), channels=channels, dtype="float32",
                latency=buffer_s,
            )  # fmt: skip
            self._stream.start()
        except (self._sd.PortAudioError, ValueError) as error:
            raise AudioError(f"{device.label}: cannot be opened at {rate} Hz ({error}); try another --rate") from error
        self.latency_s = float(self._stream.latency)

    def read(self, size: int) -> np.ndarray:
        try:
            block, _ = self._stream.read(size)
        except self._sd.PortAudioError as error:
            raise DeviceLost(str(error)) from error
        return np.ascontiguousarray(block.T)

    def write(self, block: np.ndarray) -> bool:
        try:
            if self._stream.write_available < block.shape[1]:
                return False
            self._stream.write(np.ascontiguousarray(block.T))
        except self._sd.PortAudioError as error:
            raise DeviceLost(str(error)) from error
        return True

    def close(self) -> None:
        try:
            self._stream.close()
        except self._sd.PortAudioError:
            return  # the device is already gone
