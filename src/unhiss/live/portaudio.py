"""PortAudio, through sounddevice: every system's microphones and speakers."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from unhiss.errors import AudioError, MissingExtra, need
from unhiss.live.devices import Device, Gone


def _sounddevice() -> Any:
    """sounddevice, or the line that says what is missing."""
    try:
        need("live", "sounddevice")
    except OSError as error:  # its way to say that the C library is not there
        how = (
            "apt-get install libportaudio2" if sys.platform == "linux" else "pip install --force-reinstall sounddevice"
        )
        raise MissingExtra(f"PortAudio, which unhiss reaches devices through, is not installed; run: {how}") from error
    import sounddevice

    return sounddevice


def devices() -> list[tuple]:
    """(side, name, label, default, pulse) of each side of each device; its name is PortAudio's number."""
    sd = _sounddevice()
    sd._terminate()  # what was plugged in meanwhile is seen only by a PortAudio that begins anew
    sd._initialize()
    defaults = dict(zip(("in", "out"), sd.default.device, strict=True))
    return [
        (
            side,
            str(number),
            f"{info['name']} ({sd.query_hostapis(info['hostapi'])['name']})",
            number == defaults[side],
            False,
        )
        for number, info in enumerate(sd.query_devices())
        for side in ("in", "out")
        if info[f"max_{side}put_channels"]
    ]


class PortAudioEnd:
    """A device through PortAudio. Nothing of Python runs in its callback: that one, in C, fills or drains a ring."""

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
            raise Gone(str(error)) from error
        return np.ascontiguousarray(block.T)

    def write(self, block: np.ndarray) -> bool:
        try:
            if self._stream.write_available < block.shape[1]:
                return False
            self._stream.write(np.ascontiguousarray(block.T))
        except self._sd.PortAudioError as error:
            raise Gone(str(error)) from error
        return True

    def close(self) -> None:
        try:
            self._stream.close()
        except self._sd.PortAudioError:
            return  # it is gone already
