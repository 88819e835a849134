"""Terminal output of all commands: lines, progress bars on stderr if it is a terminal, silenced C libraries."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tqdm import tqdm

_open_bars: set[ProgressBar] = set()
_show_warning: Callable[..., None] | None = None  # Python's own, while a bar is open


class ProgressBar:
    """A bar on stderr with count and remaining time, removed when its block ends. Several are drawn below each other.

    Where stderr is no terminal it shows nothing, and tqdm is not imported.

    label: what is done. total: None until it is known. unit: what is counted, such as "clips"; without one the bar
    shows per cent. done: how much there is of it at the start. interval_s: least time between two drawings.
    """

    def __init__(
        self, label: str, total: float | None = None, unit: str = "", done: float = 0, interval_s: float = 0.1
    ) -> None:
        count = f"{{n_fmt}}/{{total_fmt}} {unit}" if unit else "{percentage:3.0f} %"
        bar_format = "{desc} {elapsed}" if total is None and not unit else f"{{desc}} {{bar}} {count} {{remaining}}"
        self._bar = None
        if _is_terminal():
            self._bar = _tqdm(desc=label, total=total, initial=done, bar_format=bar_format, mininterval=interval_s)
            _open_bars.add(self)
            _show_warnings_above_bars()

    @property
    def is_drawn(self) -> bool:
        """Whether stderr is a terminal, so that somebody sees the bar."""
        return self._bar is not None

    def update(self, done: float, total: float | None = None, label: str | None = None) -> None:
        """Set what is given, and draw it unless that was done just now."""
        if self._bar is None:
            return
        if total is not None:
            self._bar.total = total
        if label is not None:
            self._bar.set_description_str(label, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            _open_bars.discard(self)
            self._bar.close()
            _show_warnings_above_bars()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _show_warnings_above_bars() -> None:
    """Print Python's warnings above the bars while there are any: on stderr they would stand in the line of one."""
    global _show_warning
    if _open_bars and _show_warning is None:
        _show_warning, warnings.showwarning = warnings.showwarning, _echo_warning
    elif not _open_bars and _show_warning is not None:
        if warnings.showwarning is _echo_warning:  # nobody else has set it meanwhile
            warnings.showwarning = _show_warning
        _show_warning = None


def _echo_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    echo(warnings.formatwarning(message, category, filename, lineno, line).rstrip(), err=True)


def _is_terminal() -> bool:
    """Whether bars can be drawn on stderr."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _tqdm(**options: Any) -> tqdm[Any]:
    from tqdm import tqdm

    if not _open_bars:
        tqdm.monitor_interval = 0  # its thread would redraw bars that are not updated; ours are
        tqdm.set_lock(threading.RLock())  # its own one is shared with other processes, which draw nothing here
    return tqdm(file=sys.stderr, leave=False, dynamic_ncols=True, miniters=0, **options)


def echo(line: str, err: bool = False) -> None:
    """Print a line, above the progress bars if there are any; undecodable bytes of file names are replaced."""
    text = line.encode(errors="surrogateescape").decode(errors="replace")
    if _open_bars and (err or sys.stdout.isatty()):  # stdout and stderr are the same terminal
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
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
