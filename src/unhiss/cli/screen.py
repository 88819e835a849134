"""What every command's screen shares: progress on stderr, only on a terminal; no chatter of C libraries."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_bars_on: Console | None = None
LOCK = threading.RLock()  # of who draws: rich counts its lines wrongly where one thread prints while another draws


class _Nothing:
    """Takes what a progress bar takes, and shows nothing."""

    def add_task(self, description: str, **options: object) -> int:
        return 0

    def update(self, task: int, **options: object) -> None: ...

    def advance(self, task: int, advance: float = 1) -> None: ...

    def remove_task(self, task: int) -> None: ...

    def refresh(self) -> None: ...


@contextmanager
def progress(unit: str = "", by_itself: bool = True) -> Iterator[Progress]:
    """A rich progress bar on stderr with count and time left; none of it is loaded when stderr is no terminal.

    by_itself: drawn ten times a second; else whenever `refresh` is called, which must hold LOCK.
    """
    if not sys.stderr.isatty():
        yield cast("Progress", _Nothing())
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    global _bars_on
    console = Console(stderr=True)
    count = (MofNCompleteColumn(), TextColumn(unit)) if unit else (TextColumn("{task.percentage:3.0f} %"),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *count, TimeRemainingColumn())
    with Progress(*columns, console=console, auto_refresh=by_itself, transient=True) as bar:
        _bars_on = console
        try:
            yield bar
        finally:
            _bars_on = None


def say(line: str, err: bool = False) -> None:
    """Print a line, above the bars if there are some; names in it may be in a coding that the screen is not."""
    text = line.encode(errors="surrogateescape").decode(errors="replace")
    if _bars_on and (err or sys.stdout.isatty()):  # one screen, whichever of the two it is reached by
        with LOCK:
            _bars_on.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        click.echo(text, err=err)


@contextmanager
def only_python() -> Iterator[None]:
    """Within, stderr is Python's alone: what C libraries print there (libmpg123 on odd MP3s) goes nowhere."""
    before = sys.stderr
    try:
        shared = before.fileno() == 2
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        yield
        return
    before.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    if shared:
        sys.stderr = open(kept, "w", buffering=1, encoding=before.encoding, errors=before.errors, closefd=False)  # noqa: SIM115
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before
        os.dup2(kept, 2)
        os.close(kept)
