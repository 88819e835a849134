"""Microphones and speakers: which one a name or a number means, and what an open one can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from unhiss.errors import AudioError, nearest

Side = Literal["in", "out"]
SINK, SOURCE = "unhiss_output", "unhiss_microphone"  # what unhiss plays into, and what call programs then hear


class Gone(Exception):
    """A device that was open gives or takes nothing any more."""


class End(Protocol):
    """An open device. All calls may wait, so they belong on a thread of their own; all raise Gone."""

    latency_s: float

    def read(self, size: int) -> np.ndarray: ...  # float32 (C, size)

    def write(self, block: np.ndarray) -> bool: ...  # float32 (C, T); False: there was no room, and it was left out

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Device:
    """number: its place in the list; name: what the system calls it; label: what people call it."""

    number: int
    side: Side
    name: str
    label: str
    default: bool
    pulse: bool


def find(wanted: str | None, side: Side, known: list[Device]) -> Device:
    """The device of a number, a name or part of one. Raises AudioError.

    None is the virtual microphone's way in, or the default speaker; and the default microphone, but never
    the virtual one, in which unhiss would hear itself.
    """
    here = [device for device in known if device.side == side]
    kind = {"in": "microphone", "out": "speaker or virtual microphone"}[side]
    if not here:
        raise AudioError(f"no {kind} here; plug one in, or see docs/live.md; unhiss live --list shows what there is")
    if wanted is None:
        others = [device for device in here if device.name != SOURCE]
        best = sorted(others, key=lambda device: (device.name != SINK, not device.default, is_monitor(device)))
        if not best:
            raise AudioError(f"no {kind} here but unhiss's own; plug one in; unhiss live --list shows what there is")
        return best[0]
    if wanted.isdigit():
        matches = [device for device in here if device.number == int(wanted)]
    else:
        exact = [device for device in here if wanted in (device.name, device.label)]
        matches = exact or [d for d in here if wanted.lower() in d.label.lower() or wanted.lower() in d.name.lower()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise AudioError(f"--{side} {wanted!r} fits {', '.join(repr(d.label) for d in matches)}; take one's number")
    hint = nearest(wanted, [device.label for device in here])
    raise AudioError(f"--{side} {wanted!r}: no such {kind}; {hint}; unhiss live --list shows all")


def is_monitor(device: Device) -> bool:
    """Whether it is no microphone, but hears what a speaker plays."""
    return device.side == "in" and device.pulse and device.name.endswith(".monitor")


def check_no_howl(source: Device, target: Device) -> None:
    """Raise AudioError if what is played comes back in."""
    loops = source.name == f"{target.name}.monitor" or (source.name, target.name) == (SOURCE, SINK)
    if source.pulse and loops:
        raise AudioError(f"{source.label} hears what is played to {target.label}: it would howl; choose another --in")
