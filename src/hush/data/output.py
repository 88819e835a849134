"""Folders that hush fills: one set of settings each, one run at a time, whole files only."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hush.drafts import DRAFT, drafted
from hush.errors import DataError

if sys.platform != "win32":
    import fcntl

PLAN = "plan.json"
PATIENCE_S = 30.0  # how long the last worker of a killed run may take to notice


def save(path: Path, fill: Callable[[BinaryIO], Any]) -> None:
    """Write a file beside `path` and rename it into place: whole, or not there."""
    with drafted(path) as draft, draft.open("wb") as file:
        fill(file)


def save_bytes(path: Path, content: bytes) -> None:
    """`save` of what is in memory."""
    save(path, lambda file: file.write(content))


def save_text(path: Path, text: str) -> None:
    """`save` of text, UTF-8 and \\n on every system."""
    save_bytes(path, text.encode())


def refuse_foreign(folder: Path, what: str) -> None:
    """Raise DataError unless `folder` is absent, empty, or one that `claim` has taken before."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; choose a folder for the {what}")
    if folder.is_dir() and not (folder / PLAN).is_file():
        held = [entry.name for entry in folder.iterdir() if not DRAFT.fullmatch(entry.name)]
        if held:
            raise DataError(f"{folder} is not empty and holds no {what}; choose another folder")


@contextmanager
def claim(folder: Path, fingerprint: str, what: str) -> Iterator[None]:
    """Hold `folder` for one run, and for one fingerprint of all that decides its content.

    On entry every worker of an earlier run is gone and its unfinished files are removed. Raises DataError
    if the folder holds something else, or a run is at work in it.
    """
    refuse_foreign(folder, what)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as ours:
        if not ours:
            raise DataError(f"another run is writing the {what} {folder}; wait for it, or choose another folder")
        note = folder / PLAN
        if not note.is_file():
            save_text(note, json.dumps({"fingerprint": fingerprint}))
        if _fingerprint(note) != fingerprint:
            raise DataError(f"{folder} holds a {what} of other sources or settings; choose another folder or remove it")
        with locked(note, PATIENCE_S) as alone:
            if not alone:
                raise DataError(f"processes of an earlier run still write to {folder}; end them, then try again")
        _clear(folder)
        yield
        _clear(folder)


def _clear(folder: Path) -> None:
    """Remove what processes that were killed have left half-written."""
    for leftover in [path for path in folder.rglob(".*.part") if DRAFT.fullmatch(path.name)]:
        leftover.unlink(missing_ok=True)


def _fingerprint(note: Path) -> str:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{note} is damaged; remove {note.parent} and prepare it again") from error


@contextmanager
def locked(path: Path, patience_s: float = 0.0) -> Iterator[bool]:
    """Whether `path` could be locked for this process alone; the lock ends with the block or the process."""
    if sys.platform == "win32":
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        end = time.monotonic() + patience_s
        while not (ours := _lock(descriptor, fcntl.LOCK_EX)) and time.monotonic() < end:
            time.sleep(0.05)
        yield ours
    finally:
        os.close(descriptor)


def share(path: Path) -> None:
    """Hold a shared lock on `path` until this process ends: `locked` is refused as long as one does."""
    if sys.platform != "win32":
        _lock(os.open(path, os.O_RDONLY), fcntl.LOCK_SH)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """`share`, until the block ends."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _lock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: go on as if alone
    return True
