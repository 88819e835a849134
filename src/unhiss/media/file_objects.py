"""Recordings in memory and in file objects: they pass through a temporary file, since decoding seeks in a file."""

import inspect
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from unhiss.arguments import as_path
from unhiss.errors import AudioError, ConfigError, UnhissError

Readable = str | Path | bytes | bytearray | memoryview | IO[bytes]
Writable = str | Path | IO[bytes]


def display_name(file: Any) -> str:
    """The path of a file, or the name of a file object if it has one: in messages and reports."""
    name = file if isinstance(file, str | os.PathLike) else getattr(file, "name", None)
    if isinstance(name, str | os.PathLike) and name:  # the name of a pipe is a number
        return str(Path(name))
    return "the recording" if isinstance(file, bytes | bytearray | memoryview) else "the file object"


@contextmanager
def path_to_read(source: Readable) -> Iterator[Path]:
    """A path with the bytes of `source`, which may be bytes, or a file object at any position that cannot seek.

    Raises AudioError if nothing can be read from it, ConfigError for anything else.
    """
    name = display_name(source)
    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(source)
    if isinstance(source, str | Path) or not hasattr(source, "read"):
        yield as_path("source", source, "a path, the bytes of a file, or a file object open for reading")
        return
    with _temporary(name, Path(name).suffix) as path:
        yield spool(source, path, name)


@contextmanager
def path_to_write(target: Writable, suffix: str = "") -> Iterator[Path]:
    """A path to be written; for a file object a temporary one, copied into it when the block ends without an error.

    suffix: the extension for a file object, with its dot; "" for that of its name. Raises AudioError if `target`
    cannot be written, ConfigError if nothing states an extension, or a path states another one.
    """
    if isinstance(target, str | Path) or not hasattr(target, "write"):
        path = as_path("target", target, "a path, or a file object open for writing")
        if suffix not in ("", path.suffix.lower()):
            why = f"and the extension of {path} states another format; leave one of them out"
            raise ConfigError(f"format = {suffix[1:]!r}, {why}")
        yield path
        return
    if isinstance(target, io.TextIOBase):
        raise AudioError(f"{display_name(target)}: open for text; open it in binary mode: open(path, 'wb')")
    name = display_name(target)
    suffix = suffix or Path(name).suffix.lower()
    if not suffix:
        raise ConfigError("format = None, and a file object without a name has no extension; give format='WAV'")
    with _temporary(name, suffix) as path:
        yield path
        with path.open("rb") as file:
            try:
                shutil.copyfileobj(file, target, 1 << 20)
            except (OSError, TypeError, ValueError) as error:  # not for writing, closed, a disk that is full
                raise AudioError(f"{name}: cannot be written ({error}); open it in binary mode") from error


def spool(stream: IO[bytes], path: Path, name: str = "stdin") -> Path:
    """Write the bytes of a pipe or file object, called `name` in errors, to a file."""
    if inspect.iscoroutinefunction(stream.read):
        raise AudioError(f"{name}: its read() is asynchronous; give the file inside, such as upload.file")
    try:
        with path.open("wb") as file:
            file.writelines(_chunks(stream, name))
    except OSError as error:
        why = f"{name} cannot be kept there ({error.strerror or error})"
        raise AudioError(f"{path.parent}: {why}; set TMPDIR to a roomier folder") from error
    return path


def _chunks(stream: IO[bytes], name: str) -> Iterator[memoryview]:
    while True:
        try:
            chunk = memoryview(stream.read(1 << 20)).cast("B")
        except (OSError, TypeError, ValueError) as error:  # a broken pipe; open for text, for writing, or closed
            why = f"no bytes can be read from it ({error})"
            raise AudioError(f"{name}: {why}; give a file object as open(path, 'rb') returns") from error
        if not chunk:
            return
        yield chunk


@contextmanager
def _temporary(name: str, suffix: str) -> Iterator[Path]:
    """A path in a temporary folder, which errors call `name`."""
    with TemporaryDirectory(prefix="unhiss-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"recording{suffix}"
        try:
            yield path
        except UnhissError as error:
            error.args = (str(error).replace(str(path), name), *error.args[1:])
            raise
