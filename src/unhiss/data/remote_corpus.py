"""Remote corpora: readers walk a local tree of empty files that mirrors the remote folder; only tables are downloaded.

The readers list folders and open tables, so they need to know nothing of remote files. Each clip then gets the URL of
its recording, which is downloaded when its shard is made.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from unhiss.data.clips import Clip, Corpus
from unhiss.data.locks import scratch_folder
from unhiss.data.prepare import ClipSource
from unhiss.errors import CorpusError
from unhiss.remote import MAX_REQUESTS, RemoteNotFound, RemotePath, RemoteRejected

PARENTS = 2  # folders above PATH in which readers look for a table

Sizes = dict[PurePosixPath, int | None]


def read_remote(spec: str, corpus: Corpus, url: RemotePath, part: str, role: str) -> ClipSource:
    """The clips of a corpus at a URL, in the order and with the names they would have locally.

    Files that a web server does not list must be named by the corpus's table, and are assumed to exist.
    Raises CorpusError as `Corpus.read` does, and where neither a list nor a table is available; UnhissError.
    """
    sizes, problem = _list_files(url)
    tables = [name.format(part=part) for name in corpus.tables]
    with scratch_folder() as folder:
        mirror = _mirror_path(folder, url)
        _make_mirror(mirror, sizes)
        has_table = _download_tables(url, mirror, sizes, tables)
        if not (sizes or has_table):
            raise CorpusError(_no_files(url, problem, tables))
        try:
            clips = corpus.read(mirror, part, role)
        except CorpusError as error:
            line = str(error).replace(str(mirror), str(url))
            raise CorpusError(line + (f"; {problem}" if problem else "")) from error
        return ClipSource(spec, mirror, [_with_url(clip, mirror, url, sizes) for clip in clips])


def _list_files(url: RemotePath) -> tuple[Sizes, str]:
    """The files at a URL with their sizes, and why there is no list, if there is none: a web server may refuse it."""
    try:
        sizes = url.sizes()
    except (RemoteNotFound, RemoteRejected) as error:
        if not url.is_web:
            raise
        reason = str(error).removeprefix(url.url).lstrip("/: ")
        return {}, f"the server gives no list of its files ({reason})"
    return sizes, "" if sizes or not url.is_web else "the server gives no list of its files"


def _no_files(url: RemotePath, problem: str, tables: list[str]) -> str:
    if not problem:
        return f"{url} holds no file; give the folder the corpus was unpacked into"
    names = " or ".join(name for name in tables if "*" not in name)
    return f"{url}: {problem}, and there is no {names or 'table that names them'}; copy it here, or to s3:// or gs://"


def _mirror_path(folder: Path, url: RemotePath) -> Path:
    """Where the mirror is made: with the URL's own folder names, and below two more, where readers look for tables."""
    names = [name for name in PurePosixPath(url.url.partition("://")[2]).parts if name != "/"]
    if ".." in names:
        raise CorpusError(f"{url}: .. leads nowhere in a URL; give the folder itself")
    return folder.joinpath(*["above"] * PARENTS, url.scheme, *names)


def _make_mirror(mirror: Path, sizes: Sizes) -> None:
    """Make the folders, and an empty file for each remote one."""
    folders = {folder for relative in sizes for folder in relative.parents}
    for folder in sorted({PurePosixPath(), *folders}):
        (mirror / folder).mkdir(parents=True, exist_ok=True)
    for relative in sizes:
        if relative not in folders:
            (mirror / relative).touch()


def _download_tables(url: RemotePath, mirror: Path, sizes: Sizes, tables: list[str]) -> bool:
    """Download the corpus's tables into the mirror; whether there is one at or below `url`."""
    listed = [relative for relative in sizes if any(relative.match(name) for name in tables)]
    possible = [PurePosixPath(name) for name in tables if "*" not in name] if url.is_web else []
    inside = dict.fromkeys([*listed, *possible])
    pairs = [(url.child(relative), mirror / relative) for relative in inside]
    remote_parent, local_parent = url, mirror
    for _ in range(PARENTS):
        remote_parent, local_parent = remote_parent.parent, local_parent.parent
        if PurePosixPath(remote_parent.url.partition("://")[2]).name:  # a bucket or a server has no parent
            pairs += [(remote_parent / name, local_parent / name) for name in tables if not set("*/") & set(name)]
    with ThreadPoolExecutor(MAX_REQUESTS) as threads:
        exist = list(threads.map(_download_if_exists, *zip(*pairs, strict=True))) if pairs else []
    return any(exist[: len(inside)])


def _download_if_exists(table: RemotePath, target: Path) -> bool:
    try:
        table.download(target)
    except (RemoteNotFound, RemoteRejected):  # many servers answer 403 for files they do not have
        return False
    return True


def _with_url(clip: Clip, mirror: Path, url: RemotePath, sizes: Sizes) -> Clip:
    relative = PurePosixPath(clip.path.relative_to(mirror))
    size = (sizes.get(relative) or 0) if url.is_web else sizes.get(relative)
    return replace(clip, url=url.child(relative), size=size)
