"""Files of a data set, here or elsewhere: whole or not there, and brought near to be read."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from unhiss.atomic import atomic_write, temp_path
from unhiss.remote import RemotePath


@contextmanager
def placed(path: Path | RemotePath, room: Path | None = None) -> Iterator[Path]:
    """A file to fill, which is at `path` when the block ends; an exception inside leaves nothing.

    room: the folder where it lies meanwhile, if `path` is elsewhere; the system's for such things if there is none.
    """
    if isinstance(path, Path):
        with atomic_write(path) as draft:
            yield draft
        return
    with _bench(room) as folder:
        yield folder / path.name
        path.send(folder / path.name)


@contextmanager
def near(path: Path | RemotePath, room: Path | None = None) -> Iterator[Path]:
    """The file itself, or a copy of it in `room` until the block ends. Raises Missing, UnhissError."""
    if isinstance(path, Path):
        yield path
        return
    with _bench(room) as folder:
        copy = folder / f"copy{path.suffix}"
        path.fetch(copy)
        yield copy


@contextmanager
def _bench(room: Path | None) -> Iterator[Path]:
    """A hidden folder in `room`, which ends with the block; another machine of a cluster has no such room."""
    folder = temp_path((room if room and room.is_dir() else Path(tempfile.gettempdir())) / "any")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def save(path: Path | RemotePath, fill: Callable[[BinaryIO], Any], room: Path | None = None) -> str:
    """Have a file filled that is then at `path`, whole or not at all (see `placed`). Returns its SHA-256."""
    with placed(path, room) as draft:
        with draft.open("wb") as file:
            fill(file)
        with draft.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def save_bytes(path: Path | RemotePath, content: bytes) -> None:
    """`save` of what is in memory."""
    if isinstance(path, RemotePath):
        return path.write_bytes(content)
    with atomic_write(path) as draft:
        draft.write_bytes(content)


def save_text(path: Path | RemotePath, text: str) -> None:
    """`save` of text, UTF-8 and \\n on every system."""
    save_bytes(path, text.encode())


def made(folder: Path | RemotePath) -> Path | RemotePath:
    """A folder that is there now; elsewhere it comes with its first file."""
    if isinstance(folder, Path):
        folder.mkdir(exist_ok=True)
    return folder


def names(folder: Path | RemotePath) -> set[str]:
    """Of the files in a folder; none of one that is not there."""
    if isinstance(folder, RemotePath):
        return {str(place) for place in folder.sizes()}
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
