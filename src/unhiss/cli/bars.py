"""The bars of a run: one for each recording at work and, of several, one over all.

Whoever cleans a recording, this process or another one, notes on a board how far it is; this process draws.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unhiss.cli.screen import LOCK

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY_S = 0.2  # how often the notes are looked at
LONGEST = 28  # characters of a name, so that a bar and a time fit beside it in 80 columns
_FACTS = 3  # of a recording: the share that is done, the seconds of sound in all, the seconds of work so far

Board = Any  # of floats, _FACTS for each recording; each has one writer, so nobody waits for anybody


def board(count: int, shared: bool) -> Board:
    """A blank board for so many recordings; shared: one that can be given to other processes."""
    if not shared:
        import numpy as np

        return np.zeros(_FACTS * count)
    from multiprocessing.sharedctypes import RawArray

    return RawArray("d", _FACTS * count)


def note(board: Board, number: int, share: float, seconds: float, elapsed_s: float) -> None:
    board[_FACTS * number : _FACTS * (number + 1)] = [share, seconds, max(1e-9, elapsed_s)]


class Bars:
    """What a board says, drawn now and then within `watching()`; `done(number, seconds)` takes a recording off it."""

    def __init__(self, bar: Progress, names: list[str], board: Board) -> None:
        import numpy as np

        self._bar, self._names = bar, [_short(name) for name in names]
        self._facts = np.frombuffer(board, float).reshape(-1, _FACTS)
        self._shown: dict[int, TaskID] = {}
        self._over = 0
        self._sound_s, self._began = 0.0, time.perf_counter()
        self._whole = bar.add_task(f"{len(names)} recordings", total=len(names), visible=len(names) > 1)

    def done(self, number: int, seconds: float) -> None:
        with LOCK:
            self._over += 1
            self._sound_s += seconds
            self._facts[number] = 0.0
            if number in self._shown:
                self._bar.remove_task(self._shown.pop(number))

    def draw(self) -> None:
        with LOCK:
            shares, sound_s = float(self._over), self._sound_s
            for number in self._facts[:, 2].nonzero()[0].tolist():  # of a million, the few at work
                share, seconds, elapsed_s = self._facts[number].tolist()
                name = self._names[number]
                if number not in self._shown:
                    self._shown[number] = self._bar.add_task(name, total=1.0)
                self._bar.update(
                    self._shown[number], completed=share, description=_line(name, share * seconds, elapsed_s)
                )
                shares, sound_s = shares + share, sound_s + share * seconds
            line = _line(f"{len(self._names)} recordings", sound_s, time.perf_counter() - self._began)
            self._bar.update(self._whole, completed=shares, description=line)
            self._bar.refresh()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within, what is noted is drawn, by whichever process."""
        end = threading.Event()

        def watch() -> None:
            while not end.wait(EVERY_S):
                self.draw()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            self.draw()


def _line(name: str, sound_s: float, elapsed_s: float) -> str:
    return f"{name}, {sound_s / elapsed_s:.0f} x real time" if sound_s else name


def _short(name: str) -> str:
    """
    >>> _short("a-name-that-goes-on-and-on-and-on.wav")
    'a-name-that-go…on-and-on.wav'
    """
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[1 - LONGEST // 2 :]}"
