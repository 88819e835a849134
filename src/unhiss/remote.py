"""Files that lie elsewhere - s3://, gs://, https:// and all that fsspec reaches - each fetched or sent whole.

What the far side drops or is too busy for is tried again; credentials and addresses come from where its own tools
have them (AWS_ENDPOINT_URL, ~/.aws, …).
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from unhiss.errors import MissingExtra, UnhissError, need

TRIES = 6
PAUSE_S = 0.2  # before the second try, and twice as long before each one after
FINAL = (PermissionError, IsADirectoryError, NotImplementedError)  # trying again cannot help
AT_ONCE = 16  # files or pages that are asked for at a time
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BUSY = (408, 425, 429)  # of HTTP's "your fault" the ones that pass
WEB = ("http", "https")
UPWARD = re.compile(r"/\.\.?(/|$)")

Result = TypeVar("Result")


class Missing(UnhissError, FileNotFoundError):
    """Nothing lies there."""


class Refused(UnhissError):
    """The far side says no, and will again."""


@dataclass(frozen=True, order=True)
class RemotePath:
    """A place such as s3://bucket/folder/a.wav, with what unhiss asks of a `pathlib.Path`.

    Without an ending it is taken for a folder, which exists as soon as something lies in it. Each call may raise
    MissingExtra, and UnhissError when the far side refuses, or fails again and again.
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

    @property
    def web(self) -> bool:
        """Whether this is an address of the web: to be read only."""
        return self.scheme in WEB

    def below(self, place: PurePosixPath) -> RemotePath:
        """The file of this name in this folder; unlike `/`, it knows that names are quoted in an address of the web."""
        return self / (quote(str(place)) if self.web else place)

    def files(self) -> list[tuple[RemotePath, PurePosixPath]]:
        """All files below, sorted, each with its place below this folder."""
        return [(self.below(place), place) for place in self.sizes()]

    def sizes(self) -> dict[PurePosixPath, int | None]:
        """The places of all files below, sorted, with their bytes; None on the web, where lists do not say.

        Raises Missing or Refused on the web, where a folder may have no list.
        """
        if self.web:
            return dict.fromkeys(sorted(self._linked()))
        root = PurePosixPath(self._ask(lambda there, path: there._strip_protocol(path)))
        try:
            found = self._ask(lambda there, path: there.find(path, detail=True))
        except Missing:
            return {}
        marks = {name for name in found if name.endswith("/")}  # of folders; some tools leave them
        sizes = {PurePosixPath(name): found[name].get("size") for name in found.keys() - marks}
        # A name with .. in it is allowed there; here it would lead out of any folder that it is copied to.
        inside = (path for path in sorted(sizes) if path != root and ".." not in path.parts)
        return {path.relative_to(root): sizes[path] for path in inside}

    def _linked(self) -> set[PurePosixPath]:
        """What the pages of a folder and those below it link to; links upwards and to orders of the list are none."""
        root = self.url.rstrip("/") + "/"
        found: set[str] = set()
        pages = seen = {root}
        with ThreadPoolExecutor(AT_ONCE) as readers:
            while pages:
                links = {link for more in readers.map(_links, pages) for link in more} - seen
                inward = {link for link in links if link.startswith(root) and not UPWARD.search(unquote(link))}
                new = {link for link in inward if not set("?#") & set(link)}
                pages = {link for link in new if link.endswith("/")}
                found |= new - pages
                seen = seen | new
        return {PurePosixPath(unquote(link.removeprefix(root))) for link in found}

    def is_empty(self) -> bool:
        """Whether nothing lies in this folder; the mark that some tools make a folder with is nothing."""
        try:
            names = self._ask(lambda there, path: there.ls(path, detail=False))
        except Missing:
            return True
        return all(name.endswith("/") and PurePosixPath(name).name == self.name for name in names)

    def read_bytes(self) -> bytes:
        content: bytes = self._ask(lambda there, path: there.cat_file(path))
        return content

    def write_bytes(self, content: bytes) -> None:
        """Whole, or not there, as `send`."""
        self._put(len(content), lambda there, path: there.pipe_file(path, content))

    def fetch(self, target: Path) -> None:
        """The whole of it as a local file, in a folder that is made where it is missing."""

        target.parent.mkdir(parents=True, exist_ok=True)

        def get(there: Any, path: str) -> None:
            # The web client takes whatever goes wrong while it asks for the size for a missing file.
            size = None if self.web else there.info(path).get("size")
            there.get_file(path, str(target))
            if size is not None and target.stat().st_size != size:
                raise ConnectionError(f"{target.stat().st_size} of {size} bytes came")

        self._ask(get)

    def send(self, source: Path) -> None:
        """A local file to this place; object stores show it when all of it is there."""
        self._put(source.stat().st_size, lambda there, path: there.put_file(str(source), path))

    def _put(self, size: int, action: Callable[[Any, str], object]) -> None:
        if self.web:
            raise UnhissError(f"{self}: {self.scheme} can only be read; write to a folder, s3:// or gs://")

        def put(there: Any, path: str) -> None:
            action(there, path)
            there.invalidate_cache()
            arrived = there.info(path)["size"]
            if arrived != size:
                raise ConnectionError(f"{arrived} of {size} bytes arrived")

        try:
            self._ask(put)
        except Missing as error:
            raise UnhissError(f"{self}: its bucket is not there; make it first") from error

    def _ask(self, action: Callable[[Any, str], Result]) -> Result:
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE_S * 2 ** (attempt - 1))
            try:
                return action(_system(self.scheme), self.url)
            except UnhissError:
                raise
            except FileNotFoundError as error:
                raise Missing(f"{self}: no such file") from error
            except Exception as error:  # every store has its own: of its client, of the network, of the system
                if isinstance(error, OSError) and error.errno in FULL:
                    why = f"no room here for a copy ({error.strerror}); TMPDIR says where temporary files lie"
                    raise UnhissError(f"{self}: {why}") from error
                if why := _final(error):
                    raise Refused(f"{self}: {why}") from error
                last = error
        raise UnhissError(f"{self}: {_line(last)} (tried {TRIES} times)") from last


def _links(page: str) -> list[str]:
    links: list[str] = RemotePath(page)._ask(lambda there, path: there.ls(path, detail=False))
    return links


def parse_path(given: str) -> Path | RemotePath:
    """What a command line means: a URL, or a path here."""
    return RemotePath(given) if "://" in given else Path(given)


@lru_cache
def _system(scheme: str) -> Any:
    need("remote", "fsspec")
    import fsspec

    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtra(f"{scheme}:// needs more packages ({error}); run: pip install 'unhiss[remote]'") from error
    except ValueError as error:
        raise UnhissError(f"{scheme}:// is not known ({error}); expected s3://, gs://, https:// …") from error


def _final(error: Exception) -> str:
    """Why the far side will say no again; "" where it may not."""
    status = getattr(error, "status", None)
    if isinstance(error, FINAL):
        return _line(error)
    if "Credentials" in type(error).__name__:
        return (
            f"{_line(error)}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for open buckets"
        )
    if isinstance(status, int) and 400 <= status < 500 and status not in BUSY:
        return f"{status} {getattr(error, 'message', '')}".strip()
    return ""


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
