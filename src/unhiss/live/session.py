"""A microphone through a Stream to a speaker, on one thread, for as long as devices come and go.

source.read ──► stream.push ──► target.write        waits in C for the next block; nothing runs in a callback
                    └─────────► recorder            which has a thread of its own, as disks may be slow
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unhiss.dsp.levels import SILENCE_DBFS, rms_dbfs
from unhiss.errors import AudioError, UnhissError
from unhiss.infer.stream import Stream
from unhiss.live.devices import Device, End, Gone, check_no_howl, find
from unhiss.live.recorder import Recorder
from unhiss.live.systems import devices, opened, there

RETRY_S = 0.5  # between looks for a device that went away
CHECK_S = 1.0  # between looks whether both are still there: a sound server moves us elsewhere without a word
SMOOTH = 0.1  # of the load: a tenth of the newest block


@dataclass(slots=True)
class Meters:
    """What a screen shows. load: share of a block's time that cleaning it takes; missed: blocks left out."""

    noisy_dbfs: float = SILENCE_DBFS
    clean_dbfs: float = SILENCE_DBFS
    load: float = 0.0
    missed: int = 0
    latency_ms: float = 0.0
    heard_at: float = 0.0  # time.monotonic() of the last block


class Session:
    """`with Session(stream, "USB mic", None) as session:` runs until the block ends.

    source, target: what unhiss.live.devices.find takes. buffer_s: seconds that a device holds; a block is half of
    it. tell: gets a line when something happens, on another thread. `failed`: why it ended by itself.
    Raises AudioError if a device cannot be had at the start; later it waits for it.
    """

    def __init__(
        self, stream: Stream, source: str | None, target: str | None, *, buffer_s: float = 0.02,
        recorder: Recorder | None = None, tell: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self.stream, self.meters = stream, Meters()
        self.failed: UnhissError | None = None
        self._wanted, self._buffer_s, self._recorder, self._tell = (source, target), buffer_s, recorder, tell
        self._block = max(1, round(buffer_s / 2 * stream.rate))
        self._end = threading.Event()
        self._lost = ""  # a device that is not there any more
        self._thread = threading.Thread(target=self._run, name="unhiss live", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="unhiss devices", daemon=True)

    def __enter__(self) -> Session:
        self._ends = self._open()
        self._thread.start()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(timeout=5)  # a device that gives nothing keeps it waiting; it ends with the program

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _open(self) -> tuple[End, End]:
        known = devices()
        source, target = find(self._wanted[0], "in", known), find(self._wanted[1], "out", known)
        check_no_howl(source, target)
        ends: list[End] = []
        try:
            for device in (source, target):
                ends.append(opened(device, self.stream.rate, self.stream.channels, self._block, self._buffer_s))
        except AudioError:
            for end in ends:
                end.close()
            raise
        self._devices, self._lost = (source, target), ""
        self._note(source, target, *ends)
        return ends[0], ends[1]

    def _note(self, source: Device, target: Device, incoming: End, outgoing: End) -> None:
        self.meters.latency_ms = self.stream.latency.ms + 1000 * (incoming.latency_s + outgoing.latency_s)
        self.meters.heard_at = time.monotonic()
        self._tell(f"{source.label} -> {target.label}, {self.meters.latency_ms:.0f} ms late in all")

    def _run(self) -> None:
        ends: tuple[End, End] | None = self._ends
        try:
            while not self._end.is_set():
                ends = ends or self._again()
                if not ends:
                    return
                try:
                    self._pump(*ends)
                except Gone as gone:
                    self._tell(f"a device went away ({gone}); waiting until it is back")
                finally:
                    for end in ends:
                        end.close()
                    ends = None
        except UnhissError as error:
            self.failed = error

    def _again(self) -> tuple[End, End] | None:
        """Both devices, as soon as they can be had; None when the session ends first."""
        while not self._end.wait(RETRY_S):
            try:
                return self._open()
            except AudioError:
                continue
        return None

    def _watch(self) -> None:
        while not self._end.wait(CHECK_S):
            self._lost = next((device.label for device in self._devices if not there(device)), "")

    def _pump(self, source: End, target: End) -> None:
        meters, length_s = self.meters, self._block / self.stream.rate
        target.write(
            np.zeros((self.stream.channels, self._block), np.float32)
        )  # a block ahead, so that it never runs dry
        while not self._end.is_set():
            if self._lost:
                raise Gone(f"{self._lost} is not there any more")
            noisy = np.nan_to_num(source.read(self._block), posinf=0, neginf=0)  # drivers have been seen to give these
            began = time.perf_counter()
            clean = self.stream.push(noisy)
            meters.load += SMOOTH * ((time.perf_counter() - began) / length_s - meters.load)
            meters.missed += not target.write(clean)
            meters.noisy_dbfs, meters.clean_dbfs = rms_dbfs(noisy), rms_dbfs(clean)
            meters.heard_at = time.monotonic()
            if self._recorder:
                self._recorder.put(noisy, clean)
