"""Ctrl-C and SIGTERM during training: a request to stop after the current step, and to save it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether this process was asked to stop. signal: the number of the signal that asked; 0 without one."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0

    @contextmanager
    def on_signals(self, notice: str = "") -> Iterator[None]:
        """Within the block the first SIGINT or SIGTERM is only noted, and `notice` is written to stderr.

        The second one acts as it did before the block: Ctrl-C raises KeyboardInterrupt, SIGTERM ends the process.
        Python delivers signals to the main thread alone; in any other thread the block changes nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, _: object) -> None:
            self.signal = number
            restore()
            if notice:
                os.write(2, f"\n{notice}\n".encode())  # print() may be what the signal has interrupted

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        before = {number: signal.signal(number, note) for number in SIGNALS}
        try:
            yield
        finally:
            restore()
