"""The screen of `unhiss live`: level meters, load and latency on stderr, and the keys."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unhiss.live.session import LiveSession

FLOOR_DBFS = -60.0  # left end of a meter
METER_WIDTH = 24  # characters, where the terminal is wide enough
REFRESH_S = 0.1
STALLED_S = 3.0  # without a block from the microphone

KeyReader = Callable[[float], str]  # waits at most so many seconds for a key


class Screen:
    """Lines on stderr and, where it is a terminal, one line below them that is redrawn and removed at the end."""

    def __init__(self) -> None:
        self._drawn = 0  # characters of that line
        self._lock = threading.Lock()  # a session says what happens on a thread of its own

    def say(self, line: str) -> None:
        self._replace(f"{line}\n")

    def draw(self, line: str) -> None:
        if sys.stderr.isatty():
            line = line[: terminal_width()]
            self._replace(line, len(line))

    def close(self) -> None:
        self._replace("")

    def _replace(self, text: str, drawn: int = 0) -> None:
        """Write in the place of that line; drawn: the characters of the text that are to be replaced in turn."""
        with self._lock:
            erase = f"\r{'':{self._drawn}}\r" if self._drawn else ""
            sys.stderr.write(erase + text)
            sys.stderr.flush()
            self._drawn = drawn


def terminal_width() -> int:
    """Characters of a line that a terminal shows without beginning another one; 79 if its width is unknown."""
    return shutil.get_terminal_size().columns - 1


def watch(session: LiveSession, screen: Screen, seconds: float | None) -> None:
    """Draw the status and obey the keys until the time is over, q is pressed, or the session ends by itself."""
    deadline = time.monotonic() + seconds if seconds else float("inf")
    was_stalled = False
    with keys() as read_key:
        while session.running and time.monotonic() < deadline:
            stalled = time.monotonic() - session.status.last_block_at > STALLED_S
            if stalled and not was_stalled:
                screen.say("no audio from the microphone; is it muted, suspended or unplugged?")
            was_stalled = stalled
            screen.draw(status_line(session, terminal_width()))
            key = read_key(min(REFRESH_S, max(0.0, deadline - time.monotonic())))
            if key == "b":
                session.stream.bypass = not session.stream.bypass
            elif key == "q":
                return


def status_line(session: LiveSession, width: int) -> str:
    """Levels, load, latency and keys; the meters take what is left of the width."""
    status = session.status
    numbers = (
        f"load {100 * status.load:3.0f} % {status.latency_ms:.0f} ms"
        f"{f' dropped {status.dropped}' if status.dropped else ''} "
        f"{'BYPASS' if session.stream.bypass else ''}[b bypass, q quit]"
    )
    size = max(0, min(METER_WIDTH, (width - len(numbers) - len("in   -30 dB out   -30 dB ")) // 2))
    return f"in {meter(status.noisy_dbfs, size)} out {meter(status.clean_dbfs, size)} {numbers}"


def meter(level_dbfs: float, size: int) -> str:
    """A bar of `size` characters from FLOOR_DBFS to 0 dBFS, and the level.

    >>> meter(-30.0, 12)
    '██████······  -30 dB'
    """
    filled = min(1.0, max(0.0, 1 - level_dbfs / FLOOR_DBFS))
    return f"{'█' * round(size * filled):·<{size}} {max(-99, round(level_dbfs)):4} dB"


@contextmanager
def keys() -> Iterator[KeyReader]:
    """A function that returns the key pressed within so many seconds, or "" for none or without a terminal."""
    if not sys.stdin or not sys.stdin.isatty():
        yield _no_key
        return
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield _windows_key
        return
    import select

    def key(wait_s: float) -> str:
        return sys.stdin.read(1).lower() if select.select([sys.stdin], [], [], wait_s)[0] else ""

    attributes = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield key
    finally:
        with suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, attributes)


def _no_key(wait_s: float) -> str:
    time.sleep(wait_s)
    return ""


def _windows_key(wait_s: float) -> str:
    import msvcrt

    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if msvcrt.kbhit():  # type: ignore[attr-defined]
            return str(msvcrt.getwch()).lower()  # type: ignore[attr-defined]
        time.sleep(0.01)
    return ""
