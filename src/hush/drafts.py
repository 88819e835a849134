"""Files that are whole or not there: written beside their place under a hidden name, then renamed."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = re.compile(r"\..+\.part")  # such a name; a process that was killed may leave one behind

_mark = ""  # of the run that this process works for


def sign(mark: str) -> None:
    """Have this process put `mark`, letters and digits, into the names of its drafts, so that `sweep` finds them."""
    global _mark
    _mark = f"{mark}-"


def sweep(folders: Iterable[Path], mark: str) -> None:
    """Remove what processes of the run `mark`, all of which have ended, left half-written in these folders."""
    for folder in set(folders):
        for draft in folder.glob(f".hush-{mark}-*.part"):
            draft.unlink(missing_ok=True)


def beside(target: Path) -> Path:
    """A hidden name beside `target` that nobody else has."""
    return target.with_name(f".hush-{_mark}{uuid.uuid4().hex}.part")


def begin(draft: Path, target: Path) -> None:
    """Make an empty file, which no more people may read than may read the one it is to replace. Raises OSError."""
    draft.touch()
    if target.exists():
        shutil.copymode(target, draft)


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A file to fill, which takes the place of `path` when the block ends; an exception inside leaves nothing.

    Through a link it is the file that the link names. Raises OSError.
    """
    target = path.resolve()
    draft = beside(target)
    try:
        begin(draft, target)
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)  # a full disk needs the room
