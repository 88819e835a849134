"""What every command's screen shares: progress on stderr, only on a terminal; no chatter of C libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rich.progress import Progress


class _Nothing:
    """Takes what a progress bar takes, and shows nothing."""

    def add_task(self, description: str, **options: object) -> int:
        return 0

    def update(self, task: int, **options: object) -> None: ...

    def advance(self, task: int, advance: float = 1) -> None: ...

    def remove_task(self, task: int) -> None: ...


@contextmanager
def progress(unit: str = "") -> Iterator[Progress]:
    """A rich progress bar on stderr with count and time left; none of it is loaded when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield cast("Progress", _Nothing())
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    count = (MofNCompleteColumn(), TextColumn(unit)) if unit else (TextColumn("{task.percentage:3.0f} %"),)
    columns = (TextColumn("{task.description}"), BarColumn(), *count, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield bar


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
