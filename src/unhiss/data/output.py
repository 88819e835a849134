"""Folders that unhiss fills, here or elsewhere: one set of settings each, one run at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unhiss.atomic import TEMP_NAME
from unhiss.data.files import save_text
from unhiss.errors import DataError
from unhiss.remote import RemotePath

if sys.platform != "win32":
    import fcntl

PLAN = "plan.json"
SCRATCH = "unhiss-scratch-"
PATIENCE_S = 30.0  # how long the last worker of a killed run may take to notice


def refuse_foreign(folder: Path | RemotePath, what: str) -> None:
    """Raise DataError unless `folder` is absent, empty, or one that `claim` has taken before."""
    if isinstance(folder, RemotePath):
        if folder.web:
            raise DataError(
                f"{folder}: {folder.scheme} can only be read; choose a folder, s3:// or gs:// for the {what}"
            )
        held = not (folder / PLAN).exists() and not folder.is_empty()
    elif folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; choose a folder for the {what}")
    else:
        held = folder.is_dir() and not (folder / PLAN).is_file() and any(
            not TEMP_NAME.fullmatch(entry.name) for entry in folder.iterdir()
        )  # fmt: skip
    if held:
        raise DataError(f"{folder} is not empty and holds no {what}; choose another folder")


@contextmanager
def claim(folder: Path | RemotePath, fingerprint: str, what: str) -> Iterator[Path]:
    """Hold `folder` for one run, and for one fingerprint of all that decides its content.

    Gives a folder of this machine for what is half-done: `folder` itself, else one that ends with the block.
    On entry every worker of an earlier run here is gone and its unfinished files are removed. Raises DataError
    if the folder holds something else, or a run of this machine is at work in it.
    """
    refuse_foreign(folder, what)
    if isinstance(folder, Path):
        with _claimed(folder, fingerprint, what):
            yield folder
        return
    room = _room(f"{folder} {fingerprint}")
    with _claimed(room, fingerprint, f"{what} {folder} from"):
        try:
            _note(folder, fingerprint, what)
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


@contextmanager
def _claimed(folder: Path, fingerprint: str, what: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as ours:
        if not ours:
            raise DataError(f"another run is writing the {what} {folder}; wait for it, or choose another folder")
        _note(folder, fingerprint, what)
        with locked(folder / PLAN, PATIENCE_S) as alone:
            if not alone:
                raise DataError(f"processes of an earlier run still write to {folder}; end them, then try again")
        _clear(folder)
        yield
        _clear(folder)


def _note(folder: Path | RemotePath, fingerprint: str, what: str) -> None:
    """Write down whose `folder` is. Raises DataError if it is another's."""
    note = folder / PLAN
    if not note.exists():
        save_text(note, json.dumps({"fingerprint": fingerprint}))
    try:
        found = json.loads(note.read_bytes())["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{note} is damaged; remove {folder} and prepare it again") from error
    if found != fingerprint:
        raise DataError(f"{folder} holds a {what} of other sources or settings; choose another folder or remove it")


def _room(of: str) -> Path:
    """A folder for temporary files that no other user may enter, and which the same run finds again."""
    user = os.getuid() if sys.platform != "win32" else 0
    room = Path(tempfile.gettempdir()) / f"unhiss-{hashlib.sha256(f'{user} {of}'.encode()).hexdigest()[:16]}"
    room.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32" and (room.is_symlink() or room.stat().st_uid != user):
        raise DataError(f"{room} is somebody else's; set TMPDIR to a folder of your own")
    return room


def _clear(folder: Path) -> None:
    """Remove what processes that were killed have left half-written."""
    for leftover in [path for path in folder.rglob(".*.part") if TEMP_NAME.fullmatch(path.name)]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for temporary files, which ends with the block; those of runs that were killed end now."""
    place = Path(tempfile.gettempdir())
    for old in place.glob(f"{SCRATCH}*") if sys.platform != "win32" else ():
        with suppress(OSError), locked(old) as left:  # OSError: somebody else's
            if left:
                shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix="unhiss-"))
    with locked(made):  # before it has a name by which others may take it for one that was left
        own = made.rename(place / f"{SCRATCH}{made.name}")
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


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
