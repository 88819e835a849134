"""The screen of `unhiss live`: level meters, load and latency on stderr, and the keys."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live

    from unhiss.live.session import LiveSession

FLOOR_DBFS = -60.0  # left end of a meter
METER_WIDTH = 24  # characters
REFRESH_S = 0.1
STALLED_S = 3.0  # without a block from the microphone

KeyReader = Callable[[float], str]  # waits at most so many seconds for a key


class Screen:
    """Lines on stderr, and on a terminal one line that is redrawn."""

    def __init__(self, live: Live | None = None) -> None:
        self._live = live

    def say(self, line: str) -> None:
        if self._live:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def draw(self, line: str) -> None:
        if self._live:
            from rich.text import Text

            self._live.update(Text(line, no_wrap=True), refresh=True)


@contextmanager
def open_screen() -> Iterator[Screen]:
    """A screen; without a terminal rich is not even imported."""
    if not sys.stderr.isatty():
        yield Screen()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield Screen(live)


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
            screen.draw(status_line(session))
            key = read_key(min(REFRESH_S, max(0.0, deadline - time.monotonic())))
            if key == "b":
                session.stream.bypass = not session.stream.bypass
            elif key == "q":
                return


def status_line(session: LiveSession) -> str:
    status = session.status
    return (
        f"in {meter(status.noisy_dbfs)} out {meter(status.clean_dbfs)} load {100 * status.load:3.0f} % "
        f"{status.latency_ms:.0f} ms{f' dropped {status.dropped}' if status.dropped else ''} "
        f"{'BYPASS' if session.stream.bypass else ''}[b bypass, q quit]"
    )


def meter(level_dbfs: float) -> str:
    """
    >>> meter(-30.0)
    '████████████············  -30 dB'
    """
    filled = min(1.0, max(0.0, 1 - level_dbfs / FLOOR_DBFS))
    return f"{'█' * round(METER_WIDTH * filled):·<{METER_WIDTH}} {max(-99, round(level_dbfs)):4} dB"


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
