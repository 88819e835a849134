"""One user at a time: who comes while another is at work is told so, and changes nothing."""

from __future__ import annotations

import threading

from unhiss.errors import AudioError


class Owner:
    """`with owner:` for whoever works on a stream. It never waits: audio that waits is late.

    Raises AudioError where another thread is inside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise AudioError(
                "this stream is at work in another thread; give each thread a Stream of its own, "
                "or hand blocks to one thread in their order"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()
