"""Recordings that lie elsewhere, brought here for as long as a command reads them again and again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unhiss.remote import RemotePath


@contextmanager
def brought(given: Sequence[Path | RemotePath]) -> Iterator[list[Path]]:
    """Each as a path of this machine: itself, or a copy of the file or folder until the block ends.

    Of a folder, the recordings and tables are copied. An UnhissError inside names what was given. Raises UnhissError.
    """
    from unhiss.errors import UnhissError
    from unhiss.remote import AT_ONCE

    if all(isinstance(one, Path) for one in given):
        yield [one for one in given if isinstance(one, Path)]
        return
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        here = [one if isinstance(one, Path) else Path(folder, str(i), one.name) for i, one in enumerate(given)]
        pairs = [
            pair
            for source, target in zip(given, here, strict=True)
            if not isinstance(source, Path)
            for pair in _files(source, target)
        ]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda pair: pair[0].fetch(pair[1]), pairs))
        try:
            yield here
        except UnhissError as error:
            said = str(error)
            for source, target in zip(given, here, strict=True):
                said = said.replace(str(target), str(source))
            raise type(error)(said) from error


def _files(source: RemotePath, target: Path) -> list[tuple[RemotePath, Path]]:
    """What is to be copied where."""
    if not source.is_dir():
        return [(source, target)]
    target.mkdir(parents=True)
    return [(path, target / below) for path, below in source.files() if _wanted(below)]


def _wanted(below: PurePosixPath) -> bool:
    from unhiss.media.containers import EXTENSIONS

    odd = any(part.startswith(".") for part in below.parts)  # hidden, or on its way out of the folder
    return not odd and (below.suffix.lower() in EXTENSIONS or below.name == "manifest.csv")
