"""Microphones and speakers: the device that a name or number selects, and the interface of an open one."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from unhiss.errors import AudioError, nearest

Side = Literal["in", "out"]
# The virtual microphone: unhiss plays to one, programs record the other.
SINK, SOURCE = "unhiss_output", "unhiss_microphone"


class DeviceLost(Exception):
    """An open device no longer delivers or accepts audio."""


class OpenDevice(Protocol):
    """An open device. Every call may block, so it needs a thread of its own, and may raise DeviceLost.

    read: float32 `(C, size)`. write: float32 `(C, T)`; False if the buffer was full and the block dropped.
    """

    latency_s: float

    def read(self, size: int) -> np.ndarray: ...
    def write(self, block: np.ndarray) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Device:
    """number: index in the list; name: the system's identifier; label: the name to show."""

    number: int
    side: Side
    name: str
    label: str
    default: bool
    pulse: bool


def select_device(query: str | None, side: Side, devices: list[Device]) -> Device:
    """The device with a number, a name, or a part of one. Raises AudioError unless exactly one matches.

    None selects the input of the virtual microphone, else the default speaker; and the default microphone, but never
    the virtual one, which carries unhiss's own output.
    """
    candidates = [device for device in devices if device.side == side]
    name, kind = {"in": ("source", "microphone"), "out": ("target", "speaker or virtual microphone")}[side]
    if not candidates:
        raise AudioError(f"no {kind} here; plug one in, or see docs/live.md; unhiss live --list shows all devices")
    if query is None:
        others = [device for device in candidates if device.name != SOURCE]
        best = sorted(others, key=lambda device: (device.name != SINK, not device.default, is_monitor(device)))
        if not best:
            raise AudioError(f"no {kind} here but unhiss's own; plug one in; unhiss live --list shows all devices")
        return best[0]
    if query.isdigit():
        matches = [device for device in candidates if device.number == int(query)]
    else:
        exact = [device for device in candidates if query in (device.name, device.label)]
        part = query.lower()
        matches = exact or [d for d in candidates if part in d.label.lower() or part in d.name.lower()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        labels = ", ".join(repr(device.label) for device in matches)
        raise AudioError(f"{name} = {query!r} matches {labels}; give the number of one")
    hint = nearest(query, [device.label for device in candidates])
    raise AudioError(f"{name} = {query!r}: no such {kind}; {hint}; unhiss live --list shows all devices")


def is_monitor(device: Device) -> bool:
    """Whether the device is no microphone but records what a speaker plays."""
    return device.side == "in" and device.pulse and device.name.endswith(".monitor")


def check_no_feedback(source: Device, target: Device) -> None:
    """Raise AudioError if the target's output reaches the source."""
    loops = source.name == f"{target.name}.monitor" or (source.name, target.name) == (SOURCE, SINK)
    if source.pulse and loops:
        raise AudioError(f"{source.label} records what {target.label} plays: feedback; choose another microphone")
