"""Remote files - s3://, gs://, https:// and all that fsspec reaches - each downloaded or uploaded whole.

Requests that are cut off, or that the server is too busy for, are tried again. Credentials and endpoints come from
the stores' own settings (AWS_ENDPOINT_URL, ~/.aws, …).
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

ATTEMPTS = 6
BACKOFF_S = 0.2  # before the second attempt, and twice as long before each one after
PERMANENT = (PermissionError, IsADirectoryError, NotImplementedError)  # another attempt cannot help
MAX_REQUESTS = 16  # for files or pages at a time
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TRANSIENT_STATUS = (408, 425, 429)  # of HTTP's client errors the ones that pass
WEB_SCHEMES = ("http", "https")
UPWARD = re.compile(r"/\.\.?(/|$)")

Result = TypeVar("Result")


class RemoteNotFound(UnhissError, FileNotFoundError):
    """The remote file does not exist."""


class RemoteRejected(UnhissError):
    """The server rejects the request, and would reject it again."""


@dataclass(frozen=True, order=True)
class RemotePath:
    """A URL such as s3://bucket/folder/a.wav, with the methods of `pathlib.Path` that unhiss uses.

    Without an extension it is taken for a folder, which exists as soon as it contains something. Each call may raise
    MissingExtra, and UnhissError when the server rejects the request, or fails repeatedly.
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

    def exists(self) -> bool:
        return bool(self._request(lambda fs, path: fs.exists(path)))

    @property
    def is_web(self) -> bool:
        """Whether this is an address of the web, which can only be read."""
        return self.scheme in WEB_SCHEMES

    def child(self, name: PurePosixPath) -> RemotePath:
        """The file of this name in this folder. Unlike `/`, it quotes the name in an address of the web."""
        return self / (quote(str(name)) if self.is_web else name)

    def files(self) -> list[tuple[RemotePath, PurePosixPath]]:
        """All files below, sorted, each with its path relative to this folder."""
        return [(self.child(relative), relative) for relative in self.sizes()]

    def sizes(self) -> dict[PurePosixPath, int | None]:
        """Relative paths of all files below, sorted, with their bytes; None on the web, where lists do not say.

        Raises RemoteNotFound or RemoteRejected on the web, where a folder may have no list.
        """
        if self.is_web:
            return dict.fromkeys(sorted(self._linked()))
        root = PurePosixPath(self._request(lambda fs, path: fs._strip_protocol(path)))
        try:
            entries = self._request(lambda fs, path: fs.find(path, detail=True))
        except RemoteNotFound:
            return {}
        markers = {name for name in entries if name.endswith("/")}  # of folders; some tools leave them
        sizes = {PurePosixPath(name): entries[name].get("size") for name in entries.keys() - markers}
        # Object stores allow .. in names; in a local copy it would lead out of the folder.
        inside = (path for path in sorted(sizes) if path != root and ".." not in path.parts)
        return {path.relative_to(root): sizes[path] for path in inside}

    def _linked(self) -> set[PurePosixPath]:
        """Files that the pages of this folder and of those below link to; links upwards and to sort orders excluded."""
        root = self.url.rstrip("/") + "/"
        files: set[str] = set()
        pages = seen = {root}
        with ThreadPoolExecutor(MAX_REQUESTS) as threads:
            while pages:
                names = threads.map(lambda page: RemotePath(page)._names(), pages)
                links = {link for page_links in names for link in page_links} - seen
                inward = {link for link in links if link.startswith(root) and not UPWARD.search(unquote(link))}
                new = {link for link in inward if not set("?#") & set(link)}
                pages = {link for link in new if link.endswith("/")}
                files |= new - pages
                seen = seen | new
        return {PurePosixPath(unquote(link.removeprefix(root))) for link in files}

    def is_empty(self) -> bool:
        """Whether this folder contains nothing; the marker that some tools create a folder with does not count."""
        try:
            names = self._names()
        except RemoteNotFound:
            return True
        return all(name.endswith("/") and PurePosixPath(name).name == self.name for name in names)

    def _names(self) -> list[str]:
        names: list[str] = self._request(lambda fs, path: fs.ls(path, detail=False))
        return names

    def read_bytes(self) -> bytes:
        content: bytes = self._request(lambda fs, path: fs.cat_file(path))
        return content

    def write_bytes(self, content: bytes) -> None:
        """Write the whole file, or nothing, as `upload`."""
        self._put(len(content), lambda fs, path: fs.pipe_file(path, content))

    def download(self, target: Path) -> None:
        """Copy the whole file to a local path, whose folder is created where it is missing."""
        target.parent.mkdir(parents=True, exist_ok=True)

        def get(fs: Any, path: str) -> None:
            # fsspec's web client reports any error while it asks for the size as a missing file.
            size = None if self.is_web else fs.info(path).get("size")
            fs.get_file(path, str(target))
            if size is not None and target.stat().st_size != size:
                raise ConnectionError(f"{target.stat().st_size} of {size} bytes came")

        self._request(get)

    def upload(self, source: Path) -> None:
        """Copy a local file to this URL; object stores show it only when it is complete."""
        self._put(source.stat().st_size, lambda fs, path: fs.put_file(str(source), path))

    def _put(self, size: int, action: Callable[[Any, str], object]) -> None:
        if self.is_web:
            raise UnhissError(f"{self}: {self.scheme} can only be read; write to a folder, s3:// or gs://")

        def put(fs: Any, path: str) -> None:
            action(fs, path)
            fs.invalidate_cache()
            arrived = fs.info(path)["size"]
            if arrived != size:
                raise ConnectionError(f"{arrived} of {size} bytes arrived")

        try:
            self._request(put)
        except RemoteNotFound as error:
            raise UnhissError(f"{self}: the bucket does not exist; create it first") from error

    def _request(self, action: Callable[[Any, str], Result]) -> Result:
        """`action(file system, url)`, tried again after errors that may pass."""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(BACKOFF_S * 2 ** (attempt - 1))
            try:
                return action(_filesystem(self.scheme), self.url)
            except UnhissError:
                raise
            except FileNotFoundError as error:
                raise RemoteNotFound(f"{self}: no such file; check the address") from error
            except Exception as error:  # every store has its own: of its client, of the network, of the system
                if isinstance(error, OSError) and error.errno in DISK_FULL:
                    reason = f"no room here for a copy ({error.strerror}); TMPDIR says where temporary files lie"
                    raise UnhissError(f"{self}: {reason}") from error
                if reason := _permanent(error):
                    raise RemoteRejected(f"{self}: {reason}") from error
                last = error
        raise UnhissError(f"{self}: {_line(last)} (tried {ATTEMPTS} times)") from last


def parse_path(text: str) -> Path | RemotePath:
    """What a command line means: a URL, or a local path."""
    return RemotePath(text) if "://" in text else Path(text)


@lru_cache
def _filesystem(scheme: str) -> Any:
    need("remote", "fsspec")
    import fsspec

    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtra(f"{scheme}:// needs more packages ({error}); run: pip install 'unhiss[remote]'") from error
    except ValueError as error:
        raise UnhissError(f"{scheme}:// is not known ({error}); expected s3://, gs://, https:// …") from error


def _permanent(error: Exception) -> str:
    """Why the server will reject the request again; "" where it may not."""
    status = getattr(error, "status", None)
    if isinstance(error, PERMANENT):
        return _line(error)
    if "Credentials" in type(error).__name__:
        return (
            f"{_line(error)}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for open buckets"
        )
    if isinstance(status, int) and 400 <= status < 500 and status not in TRANSIENT_STATUS:
        return f"{status} {getattr(error, 'message', '')}".strip()
    return ""


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
