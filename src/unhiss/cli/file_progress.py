"""Progress bars of `unhiss denoise`: one for each recording in progress and, for several, one in total.

The process that denoises a recording, this or another one, writes its progress to a shared array; this process draws.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from unhiss.cli.terminal import ProgressBar

REFRESH_S = 0.2
MAX_NAME = 28  # characters, so that bar and time fit beside the name in 80 columns
_FIELDS = 3  # per recording: fraction done, duration in seconds, elapsed seconds

ProgressArray = Any  # floats, _FIELDS per recording; each recording has one writer, so no lock is needed


def progress_array(count: int, shared: bool) -> ProgressArray:
    """An array of zeros for `count` recordings; shared: for use in other processes."""
    if not shared:
        import numpy as np

        return np.zeros(_FIELDS * count)
    from multiprocessing.sharedctypes import RawArray

    return RawArray("d", _FIELDS * count)


def progress_callback(array: ProgressArray | None, index: int) -> Callable[[float, float], None]:
    """A function of the fraction done and the duration in seconds that sets them in the array, both 0 at first.

    array: None on Ray, which has none.
    """
    start_s = time.perf_counter()

    def progress(fraction: float, duration_s: float) -> None:
        if array is not None:
            elapsed_s = max(1e-9, time.perf_counter() - start_s)
            array[_FIELDS * index : _FIELDS * (index + 1)] = [fraction, duration_s, elapsed_s]

    progress(0.0, 0.0)
    return progress


class FileProgress:
    """Draws the contents of a progress array periodically inside `refreshing()`."""

    def __init__(self, names: list[str], array: ProgressArray) -> None:
        import numpy as np

        self._names = [_shorten(name) for name in names]
        self._fields = np.frombuffer(array, float).reshape(-1, _FIELDS)
        self._lock = threading.Lock()  # the thread that draws, and the one that finishes recordings
        self._finished, self._finished_s, self._start_s = 0, 0.0, time.perf_counter()
        self._total = _bar(f"{len(names)} recordings", len(names)) if len(names) > 1 else None
        self._bars: dict[int, ProgressBar] = {}

    def finish(self, index: int, duration_s: float) -> None:
        """Count a recording as finished and remove its bar."""
        with self._lock:
            self._finished += 1
            self._finished_s += duration_s
            self._fields[index] = 0.0
            if index in self._bars:
                self._bars.pop(index).close()

    def draw(self) -> None:
        with self._lock:
            done, audio_s = float(self._finished), self._finished_s
            elapsed = self._fields[:, 2].copy()  # other processes write there, and numpy refuses a change meanwhile
            for index in elapsed.nonzero()[0].tolist():  # only the few in progress
                fraction, duration_s, elapsed_s = self._fields[index].tolist()
                name = self._names[index]
                if index not in self._bars:
                    self._bars[index] = _bar(name, 1.0)
                self._bars[index].update(fraction, label=_with_speed(name, fraction * duration_s, elapsed_s))
                done, audio_s = done + fraction, audio_s + fraction * duration_s
            if self._total:
                line = _with_speed(f"{len(self._names)} recordings", audio_s, time.perf_counter() - self._start_s)
                self._total.update(done, label=line)

    @contextmanager
    def refreshing(self) -> Iterator[None]:
        """Draw every REFRESH_S until the block ends, and once more then; remove all bars."""
        stop = threading.Event()

        def refresh() -> None:
            while not stop.wait(REFRESH_S):
                self.draw()

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.draw()
            for bar in filter(None, (*self._bars.values(), self._total)):
                bar.close()


def _bar(label: str, total: float) -> ProgressBar:
    return ProgressBar(label, total, interval_s=0.0)  # `draw` is called seldom enough


def _with_speed(name: str, audio_s: float, elapsed_s: float) -> str:
    return f"{name}, {audio_s / elapsed_s:.0f} x real time" if audio_s else name


def _shorten(name: str) -> str:
    """
    >>> _shorten("a-name-that-goes-on-and-on-and-on.wav")
    'a-name-that-go…on-and-on.wav'
    """
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2]}…{name[1 - MAX_NAME // 2 :]}"
