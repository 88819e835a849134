"""Files that lie elsewhere - s3://, gs://, https:// and all that fsspec reaches - each fetched or sent whole.

What the far side drops or is too busy for is tried again; credentials and addresses come from where its own tools
have them (AWS_ENDPOINT_URL, ~/.aws, …).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from hush.errors import HushError, MissingExtra, need

TRIES = 6
PAUSE_S = 0.2  # before the second try, and twice as long before each one after
FINAL = (PermissionError, IsADirectoryError, NotImplementedError)  # trying again cannot help

Result = TypeVar("Result")


class Missing(HushError, FileNotFoundError):
    """Nothing lies there."""


@dataclass(frozen=True, order=True)
class RemotePath:
    """A place such as s3://bucket/folder/a.wav, with what hush asks of a `pathlib.Path`.

    Without an ending it is taken for a folder, which exists as soon as something lies in it. Each call may raise
    MissingExtra, and HushError when the far side refuses, or fails again and again.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, below: str | PurePosixPath) -> RemotePath:
        return RemotePath(f"{self.url.rstrip('/')}/{PurePosixPath(below)}")

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0]

    @property
    def _path(self) -> PurePosixPath:
        return PurePosixPath(self.url.partition("://")[2])

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def suffix(self) -> str:
        return self._path.suffix

    @property
    def parent(self) -> RemotePath:
        return RemotePath(f"{self.scheme}://{self._path.parent}")

    def with_suffix(self, suffix: str) -> RemotePath:
        return RemotePath(f"{self.scheme}://{self._path.with_suffix(suffix)}")

    def is_dir(self) -> bool:
        return self.url.endswith("/") or not self.suffix

    def is_file(self) -> bool:
        return not self.is_dir() and self.exists()

    def is_fifo(self) -> bool:
        return False

    def exists(self) -> bool:
        return bool(self._ask(lambda there, path: there.exists(path)))

    def files(self) -> list[tuple[RemotePath, PurePosixPath]]:
        """All files below, sorted, each with its place below this folder."""
        root = PurePosixPath(self._ask(lambda there, path: there._strip_protocol(path)))
        found = sorted(PurePosixPath(name) for name in self._ask(lambda there, path: there.find(path)))
        below = [path.relative_to(root) for path in found]
        return [(self / place, place) for place in below]

    def read_bytes(self) -> bytes:
        content: bytes = self._ask(lambda there, path: there.cat_file(path))
        return content

    def fetch(self, target: Path) -> None:
        """The whole of it as a local file."""

        def get(there: Any, path: str) -> None:
            size = there.info(path).get("size")
            there.get_file(path, str(target))
            if size is not None and target.stat().st_size != size:
                raise ConnectionError(f"{target.stat().st_size} of {size} bytes came")

        self._ask(get)

    def send(self, source: Path) -> None:
        """A local file to this place; object stores show it when all of it is there."""
        if self.scheme in ("http", "https"):
            raise HushError(f"{self}: {self.scheme} can only be read; write to a folder, s3:// or gs://")

        def put(there: Any, path: str) -> None:
            there.put_file(str(source), path)
            there.invalidate_cache()
            size = there.info(path)["size"]
            if size != source.stat().st_size:
                raise ConnectionError(f"{size} of {source.stat().st_size} bytes arrived")

        self._ask(put)

    def _ask(self, action: Callable[[Any, str], Result]) -> Result:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE_S * 2 ** (attempt - 1))
            try:
                return action(_system(self.scheme), self.url)
            except MissingExtra:
                raise
            except FileNotFoundError as error:
                raise Missing(f"{self}: no such file") from error
            except FINAL as error:
                raise HushError(f"{self}: {_line(error)}") from error
            except Exception as error:  # every store has its own: of its client, of the network, of the system
                last = error
        raise HushError(f"{self}: {_line(last)} (tried {TRIES} times)") from last


def place(given: str) -> Path | RemotePath:
    """What a command line means: a URL, or a path here."""
    return RemotePath(given) if "://" in given else Path(given)


@lru_cache
def _system(scheme: str) -> Any:
    need("remote", "fsspec")
    import fsspec

    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtra(f"{scheme}:// needs more packages ({error}); run: pip install 'hush[remote]'") from error
    except ValueError as error:
        raise HushError(f"{scheme}:// is not known ({error}); expected s3://, gs://, https:// …") from error


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
