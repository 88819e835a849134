"""Terminal output of all commands: lines, progress bars on stderr if it is a terminal, silenced C libraries."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_bar_console: Console | None = None
DRAW_LOCK = threading.RLock()  # rich miscounts its lines if one thread prints while another draws


class _NullProgress:
    """Has the methods of a progress bar and shows nothing."""

    def __getattr__(self, method: str) -> Any:
        return lambda *args, **options: 0


@contextmanager
def progress_bar(unit: str = "", auto_refresh: bool = True) -> Iterator[Progress]:
    """A rich progress bar on stderr with count and remaining time; rich is not imported if stderr is no terminal.

    auto_refresh: redraw ten times a second; otherwise only when `refresh` is called, with DRAW_LOCK held.
    """
    if not sys.stderr.isatty():
        yield cast("Progress", _NullProgress())
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    global _bar_console
    console = Console(stderr=True)
    count = (MofNCompleteColumn(), TextColumn(unit)) if unit else (TextColumn("{task.percentage:3.0f} %"),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *count, TimeRemainingColumn())
    with Progress(*columns, console=console, auto_refresh=auto_refresh, transient=True) as bar:
        _bar_console = console
        try:
            yield bar
        finally:
            _bar_console = None


def echo(line: str, err: bool = False) -> None:
    """Print a line, above the progress bars if there are any; undecodable bytes of file names are replaced."""
    text = line.encode(errors="surrogateescape").decode(errors="replace")
    if _bar_console and (err or sys.stdout.isatty()):  # stdout and stderr are the same terminal
        with DRAW_LOCK:
            _bar_console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        click.echo(text, err=err)


@contextmanager
def silence_c_libraries() -> Iterator[None]:
    """Discard what C libraries print to stderr (libmpg123 on damaged MP3s); Python's own output still appears."""
    python_stderr = sys.stderr
    try:
        is_stderr = python_stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # closed, or not a file
        yield
        return
    python_stderr.flush()
    original, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.close(devnull)
    if is_stderr:
        encoding, errors = python_stderr.encoding, python_stderr.errors
        sys.stderr = open(original, "w", buffering=1, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = python_stderr
        os.dup2(original, 2)
        os.close(original)
