"""The audio system of this machine: PulseAudio (or PipeWire's PulseAudio server) if one runs, else PortAudio.

PortAudio would reach such a server through ALSA, which shows one device without a name and stalls on small blocks.
"""

from unhiss.live import portaudio, pulse
from unhiss.live.devices import Device, OpenDevice


def list_devices() -> list[Device]:
    """All devices, microphones first. Raises MissingExtra if there is neither a sound server nor PortAudio."""
    rows = pulse.list_devices() if pulse.is_available() else portaudio.list_devices()
    return [Device(number, *row) for number, row in enumerate(sorted(rows, key=lambda row: row[0]))]


def open_device(device: Device, rate: int, channels: int, block: int, buffer_s: float) -> OpenDevice:
    """Open a device with a buffer of `buffer_s`, for blocks of `block` samples. Raises AudioError."""
    make = pulse.PulseDevice if device.pulse else portaudio.PortAudioDevice
    return make(device, rate, channels, block, buffer_s)


def exists(device: Device) -> bool:
    """Whether an open device still exists. PortAudio does not know; there the next read fails instead."""
    return not device.pulse or pulse.exists(device)
