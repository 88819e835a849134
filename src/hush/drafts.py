"""Files that are whole or not there: written beside their place under a hidden name, then renamed."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = re.compile(r"\..+\.part")  # such a name; a process that was killed may leave one behind


def beside(target: Path) -> Path:
    """A hidden name beside `target` that nobody else has."""
    return target.with_name(f".hush-{uuid.uuid4().hex}.part")


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
