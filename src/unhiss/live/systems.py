"""Where the devices of this machine come from.

Where a PulseAudio server answers (PipeWire has one too), its sources and sinks are the devices; else PortAudio's are.
PortAudio would reach that server by way of ALSA, where it sees one nameless device and stalls on small blocks.
"""

from __future__ import annotations

from unhiss.live import portaudio, pulse
from unhiss.live.devices import Device, End


def devices() -> list[Device]:
    """All there are, microphones first. Raises MissingExtra where neither a sound server nor PortAudio is there."""
    found = pulse.devices() if pulse.answers() else portaudio.devices()
    return [Device(number, *facts) for number, facts in enumerate(sorted(found, key=lambda facts: facts[0]))]


def opened(device: Device, rate: int, channels: int, block: int, buffer_s: float) -> End:
    """The device at work: it holds `buffer_s`, and is read or written `block` samples at a time. Raises AudioError."""
    make = pulse.PulseEnd if device.pulse else portaudio.PortAudioEnd
    return make(device, rate, channels, block, buffer_s)


def there(device: Device) -> bool:
    """Whether an open device still exists. PortAudio cannot tell, and lets the next read fail."""
    return not device.pulse or pulse.there(device)
