"""A live session: microphone, Stream and speaker on one thread, across devices that disappear and return.

source.read ──► stream.push ──► target.write        blocks in C for the next block; no audio callback runs Python
                    └─────────► recorder            on a thread of its own, as disks may be slow
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from unhiss.dsp.levels import SILENCE_DBFS, rms_dbfs
from unhiss.errors import AudioError, UnhissError
from unhiss.infer.stream import Stream
from unhiss.live.backends import exists, list_devices, open_device
from unhiss.live.devices import DeviceLost, OpenDevice, check_no_feedback, select_device
from unhiss.live.recorder import Recorder

RETRY_S = 0.5  # between attempts to reopen a lost device
CHECK_S = 1.0  # between checks that both devices exist: a sound server moves streams elsewhere without notice
SMOOTHING = 0.1  # weight of the newest block in the load


@dataclass(slots=True)
class LiveStatus:
    """What a screen shows. load: processing time of a block over its duration; dropped: blocks not played."""

    noisy_dbfs: float = SILENCE_DBFS
    clean_dbfs: float = SILENCE_DBFS
    load: float = 0.0
    dropped: int = 0
    latency_ms: float = 0.0
    last_block_at: float = 0.0  # time.monotonic()


class LiveSession:
    """`with LiveSession(stream, "USB mic", None) as session:` runs in the background until the block ends.

    source, target: see unhiss.live.devices.select_device. buffer_s: seconds of a device's buffer, two blocks.
    notify: called with a line for each event, on another thread. `error`: why the session ended by itself.
    Raises AudioError if a device cannot be opened at the start; a device lost later is waited for.
    """

    def __init__(
        self, stream: Stream, source: str | None, target: str | None, *, buffer_s: float = 0.02,
        recorder: Recorder | None = None, notify: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self.stream, self.status = stream, LiveStatus()
        self.error: UnhissError | None = None
        self._source, self._target = source, target
        self._buffer_s, self._recorder, self._notify = buffer_s, recorder, notify
        self._block = max(1, round(buffer_s / 2 * stream.rate))
        self._stop = threading.Event()
        self._missing = ""  # label of a device that no longer exists
        self._thread = threading.Thread(target=self._run, name="unhiss live", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="unhiss devices", daemon=True)

    def __enter__(self) -> Self:
        self._opened = self._open()
        self._thread.start()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)  # a stalled device blocks the thread; being a daemon, it ends with the program

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _open(self) -> tuple[OpenDevice, OpenDevice]:
        known = list_devices()
        source, target = select_device(self._source, "in", known), select_device(self._target, "out", known)
        check_no_feedback(source, target)
        settings = (self.stream.rate, self.stream.channels, self._block, self._buffer_s)
        microphone = open_device(source, *settings)
        try:
            speaker = open_device(target, *settings)
        except AudioError:
            microphone.close()
            raise
        self._devices, self._missing = (source, target), ""
        self.status.latency_ms = self.stream.latency.ms + 1000 * (microphone.latency_s + speaker.latency_s)
        self.status.last_block_at = time.monotonic()
        self._notify(f"{source.label} -> {target.label}, total latency {self.status.latency_ms:.0f} ms")
        return microphone, speaker

    def _run(self) -> None:
        opened: tuple[OpenDevice, OpenDevice] | None = self._opened
        try:
            while opened:
                try:
                    self._transfer(*opened)
                except DeviceLost as lost:
                    self._notify(f"device lost ({lost}); waiting for it to return")
                finally:
                    for each in opened:
                        each.close()
                opened = self._reopen()
        except UnhissError as error:
            self.error = error

    def _reopen(self) -> tuple[OpenDevice, OpenDevice] | None:
        """Both devices, once they can be opened; None if the session ends first."""
        while not self._stop.wait(RETRY_S):
            try:
                return self._open()
            except AudioError:
                continue
        return None

    def _watch(self) -> None:
        while not self._stop.wait(CHECK_S):
            self._missing = next((device.label for device in self._devices if not exists(device)), "")

    def _transfer(self, source: OpenDevice, target: OpenDevice) -> None:
        """Denoise block after block until the session ends or a device is lost."""
        status, length_s = self.status, self._block / self.stream.rate
        target.write(np.zeros((self.stream.channels, self._block), np.float32))  # one block ahead, against underruns
        while not self._stop.is_set():
            if self._missing:
                raise DeviceLost(f"{self._missing} no longer exists")
            noisy = np.nan_to_num(source.read(self._block), posinf=0, neginf=0)  # some drivers deliver these
            started = time.perf_counter()
            clean = self.stream.push(noisy)
            status.load += SMOOTHING * ((time.perf_counter() - started) / length_s - status.load)
            status.dropped += not target.write(clean)
            status.noisy_dbfs, status.clean_dbfs = rms_dbfs(noisy), rms_dbfs(clean)
            status.last_block_at = time.monotonic()
            if self._recorder:
                self._recorder.put(noisy, clean)
