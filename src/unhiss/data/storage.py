"""Files of a data set, local or remote: each is complete or absent, and a remote one is copied here to be read."""

import csv
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from unhiss.atomic import atomic_write
from unhiss.remote import RemotePath


@contextmanager
def output_file(path: Path | RemotePath, temp_folder: Path | None = None) -> Iterator[Path]:
    """A local file to fill, which becomes `path` when the block ends; an exception inside leaves nothing.

    temp_folder: where the content of a remote file is kept until it is uploaded; the system's folder if None.
    """
    if isinstance(path, Path):
        with atomic_write(path) as temporary:
            yield temporary
        return
    with _temporary_folder(temp_folder) as folder:
        yield Path(folder, path.name)
        path.upload(Path(folder, path.name))


@contextmanager
def local_copy(path: Path | RemotePath, temp_folder: Path | None = None) -> Iterator[Path]:
    """The file itself if it is local, else a copy of it until the block ends. Raises RemoteNotFound, UnhissError."""
    if isinstance(path, Path):
        yield path
        return
    with _temporary_folder(temp_folder) as folder:
        copy = Path(folder, f"copy{path.suffix}")
        path.download(copy)
        yield copy


def _temporary_folder(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    """A hidden folder in `parent` until the block ends; another machine of a cluster has no such parent."""
    existing = parent if parent and parent.is_dir() else None
    return tempfile.TemporaryDirectory(prefix=".unhiss-", suffix=".part", dir=existing, ignore_cleanup_errors=True)


def save(path: Path | RemotePath, fill: Callable[[BinaryIO], Any], temp_folder: Path | None = None) -> str:
    """Write a file, completely or not at all (see `output_file`), by `fill(file)`. Returns its SHA-256."""
    with output_file(path, temp_folder) as temporary:
        with temporary.open("wb") as file:
            fill(file)
        with temporary.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def save_bytes(path: Path | RemotePath, content: bytes) -> None:
    """Write a file from memory, completely or not at all."""
    if isinstance(path, RemotePath):
        return path.write_bytes(content)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def save_text(path: Path | RemotePath, text: str) -> None:
    """Write text as UTF-8 with \\n on every system, completely or not at all."""
    save_bytes(path, text.encode())


def save_table(path: Path | RemotePath, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as CSV with a header."""
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save_text(path, table.getvalue())


def make_folder(folder: Path | RemotePath) -> Path | RemotePath:
    """Create a local folder; a remote one comes into being with its first file."""
    if isinstance(folder, Path):
        folder.mkdir(exist_ok=True)
    return folder


def file_names(folder: Path | RemotePath) -> set[str]:
    """Names of the files in a folder; none if it does not exist."""
    if isinstance(folder, RemotePath):
        return {str(relative) for relative in folder.sizes()}
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
