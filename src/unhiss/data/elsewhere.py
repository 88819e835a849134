"""Corpora that lie elsewhere, read by their shadow: a tree of empty files in their place, the tables alone fetched.

The readers walk folders and open tables. Where a corpus is far away they walk its shadow, and so need to know nothing
of it; each clip then says where its recording lies, and who builds a shard fetches it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from unhiss.data.clips import Clip, Corpus
from unhiss.data.output import scratch
from unhiss.data.plan import Source
from unhiss.errors import CorpusError
from unhiss.remote import AT_ONCE, Missing, Refused, RemotePath

ABOVE = 2  # folders above PATH in which readers look for a table

Sizes = dict[PurePosixPath, int | None]


def source(spec: str, corpus: Corpus, there: RemotePath, part: str, role: str) -> Source:
    """The clips of a corpus at a URL, in the order and with the names they would have here.

    What a web server does not list must be named by the corpus's table, and is taken to be there.
    Raises CorpusError as `Corpus.read` does, and where neither a list nor a table is to be had; UnhissError.
    """
    sizes, why = _listed(there)
    tables = [name.format(part=part) for name in corpus.tables]
    with scratch() as folder:
        top = _under(folder, there)
        _cast(top, sizes)
        fetched = _fetch(there, top, sizes, tables)
        if not (sizes or fetched):
            raise CorpusError(_nothing(there, why, tables))
        try:
            clips = list(corpus.read(top, part, role))
        except CorpusError as error:
            raise CorpusError(str(error).replace(str(top), str(there)) + (f"; {why}" if why else "")) from error
        return Source(spec, top, [_there(clip, top, there, sizes) for clip in clips])


def _listed(there: RemotePath) -> tuple[Sizes, str]:
    """What lies there, and why that cannot be said, if it cannot: web servers list a folder or do not."""
    try:
        sizes = there.sizes()
    except (Missing, Refused) as error:
        if not there.web:
            raise
        reason = str(error).removeprefix(there.url).lstrip("/: ")
        return {}, f"the server gives no list of its files ({reason})"
    return sizes, "" if sizes or not there.web else "the server gives no list of its files"


def _nothing(there: RemotePath, why: str, tables: list[str]) -> str:
    if not why:
        return f"{there} holds no file; give the folder the corpus was unpacked into"
    named = " or ".join(name for name in tables if "*" not in name)
    return f"{there}: {why}, and there is no {named or 'table that names them'}; copy it here, or to s3:// or gs://"


def _under(folder: Path, there: RemotePath) -> Path:
    """The shadow's own place: parents' names count as those of the URL's, and readers look for tables above."""
    names = [name for name in PurePosixPath(there.url.partition("://")[2]).parts if name != "/"]
    if ".." in names:
        raise CorpusError(f"{there}: .. leads nowhere in a URL; give the folder itself")
    return folder.joinpath(*["above"] * ABOVE, there.scheme, *names)


def _cast(top: Path, sizes: Sizes) -> None:
    """Make the shadow: folders, and an empty file for each one there."""
    folders = {folder for place in sizes for folder in place.parents}
    for folder in sorted({PurePosixPath(), *folders}):
        (top / folder).mkdir(parents=True, exist_ok=True)
    for place in sizes:
        if place not in folders:
            (top / place).touch()


def _fetch(there: RemotePath, top: Path, sizes: Sizes, tables: list[str]) -> bool:
    """Bring the tables into the shadow; whether there is one at or below `there`."""
    listed = [place for place in sizes if any(place.match(name) for name in tables)]
    hoped = [PurePosixPath(name) for name in tables if "*" not in name] if there.web else []
    inside = dict.fromkeys([*listed, *hoped])
    pairs = [(there.below(place), top / place) for place in inside]
    above, shadow = there, top
    for _ in range(ABOVE):
        above, shadow = above.parent, shadow.parent
        if PurePosixPath(above.url.partition("://")[2]).name:  # there is nothing above a bucket or a server
            pairs += [(above / name, shadow / name) for name in tables if not set("*/") & set(name)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        came = list(threads.map(_came, *zip(*pairs, strict=True))) if pairs else []
    return any(came[: len(inside)])


def _came(table: RemotePath, shadow: Path) -> bool:
    """Whether a table is there; it is in its place then. Many servers say 403 of what they have not."""
    try:
        table.fetch(shadow)
    except (Missing, Refused):
        return False
    return True


def _there(clip: Clip, top: Path, there: RemotePath, sizes: Sizes) -> Clip:
    place = PurePosixPath(clip.path.relative_to(top))
    size = (sizes.get(place) or 0) if there.web else sizes.get(place)
    return replace(clip, there=there.below(place), size=size)
