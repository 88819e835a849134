"""Local copies of remote recordings, for commands that read them several times."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unhiss.remote import RemotePath


@contextmanager
def local_copies(sources: Sequence[Path | RemotePath]) -> Iterator[list[Path]]:
    """Each source as a local path: itself, or a copy of the remote file or folder until the block ends.

    Of a folder, the recordings and manifest.csv are copied. An UnhissError inside the block names the remote source,
    not its copy. Raises UnhissError.
    """
    from unhiss.errors import UnhissError
    from unhiss.remote import MAX_REQUESTS

    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        remote = [source for source in sources if not isinstance(source, Path)]
        copies = {source: Path(folder, str(number), source.name) for number, source in enumerate(remote)}
        pairs = [pair for source, copy in copies.items() for pair in _files(source, copy)]
        with ThreadPoolExecutor(MAX_REQUESTS) as threads:
            list(threads.map(lambda pair: pair[0].download(pair[1]), pairs))
        try:
            yield [source if isinstance(source, Path) else copies[source] for source in sources]
        except UnhissError as error:
            if not copies:
                raise
            line = str(error)
            for source, copy in copies.items():
                line = line.replace(str(copy), str(source))
            raise type(error)(line) from error


def _files(source: RemotePath, copy: Path) -> list[tuple[RemotePath, Path]]:
    """The files to download, and where to."""
    from unhiss.media.source import READABLE

    if not source.is_dir():
        return [(source, copy)]
    copy.mkdir(parents=True)
    visible = [pair for pair in source.files() if not any(part.startswith(".") for part in pair[1].parts)]
    needed = [pair for pair in visible if pair[1].suffix.lower() in READABLE or pair[1].name == "manifest.csv"]
    return [(file, copy / relative) for file, relative in needed]
