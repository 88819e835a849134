"""The screen of `unhiss live`: meters of both sides, load and latency on stderr, and the keys."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from unhiss.live.session import Session

FLOOR_DBFS = -60.0  # where a meter begins
WIDE = 24
EVERY_S = 0.1
STALLED_S = 3.0  # without a block from the microphone


class Lines(Protocol):
    def say(self, line: str) -> None: ...

    def show(self, line: str) -> None: ...


class _Plain:
    """Where stderr is no terminal: what happens is told, nothing is drawn."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def show(self, line: str) -> None: ...


class _Drawn:
    def __init__(self, live: Any) -> None:
        self._live = live

    def say(self, line: str) -> None:
        self._live.console.print(line, markup=False, highlight=False)

    def show(self, line: str) -> None:
        from rich.text import Text

        self._live.update(Text(line, no_wrap=True), refresh=True)


@contextmanager
def shown() -> Iterator[Lines]:
    """Where lines go, and the one that is drawn over and over; nothing of rich without a terminal."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield _Drawn(live)


def watch(session: Session, lines: Lines, seconds: float | None) -> None:
    """Draw, and do what the keys say, until the time is over, q is pressed, or the session ends by itself."""
    over = time.monotonic() + seconds if seconds else float("inf")
    stalled = False
    with keys() as pressed:
        while session.running and time.monotonic() < over:
            silent = time.monotonic() - session.meters.heard_at > STALLED_S
            if silent and not stalled:
                lines.say("nothing comes from the microphone; is it muted, suspended or unplugged?")
            stalled = silent
            lines.show(status(session))
            key = pressed(min(EVERY_S, max(0.0, over - time.monotonic())))
            if key == "b":
                session.stream.bypass = not session.stream.bypass
            elif key == "q":
                return


def status(session: Session) -> str:
    meters = session.meters
    return (
        f"in {bar(meters.noisy_dbfs)} out {bar(meters.clean_dbfs)} load {100 * meters.load:3.0f} % "
        f"{meters.latency_ms:.0f} ms{f' missed {meters.missed}' if meters.missed else ''} "
        f"{'BYPASS' if session.stream.bypass else ''}[b bypass, q end]"
    )


def bar(level_dbfs: float) -> str:
    """
    >>> bar(-30.0)
    '████████████············  -30 dB'
    """
    share = min(1.0, max(0.0, 1 - level_dbfs / FLOOR_DBFS))
    return f"{'█' * round(WIDE * share):·<{WIDE}} {max(-99, round(level_dbfs)):4} dB"


@contextmanager
def keys() -> Iterator[Any]:
    """A function that waits so many seconds for a key: its letter, or "" when none came or stdin is no terminal."""
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

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield key
    finally:
        with suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


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
