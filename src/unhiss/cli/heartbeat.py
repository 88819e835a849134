"""A line of progress a minute on stderr, for logs: where there is no terminal, there is no progress bar."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unhiss.cli.terminal import echo

INTERVAL_S = 55.0  # so that a line comes every minute however long it takes to write


@contextmanager
def heartbeat(line: Callable[[], str], on: bool = True) -> Iterator[None]:
    """Within the block, print `line()` every INTERVAL_S, whatever the main thread is doing; nothing unless `on`."""
    if not on:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(ended.wait, line), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(wait: Callable[[float], bool], line: Callable[[], str]) -> None:
    """Print a line whenever `wait(seconds)` has returned False: the time is over, the work is not."""
    while not wait(INTERVAL_S):
        echo(line(), err=True)
