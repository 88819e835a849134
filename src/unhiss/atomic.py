"""Files that are complete or absent: written under a hidden name beside the target, then renamed."""

import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMP_NAME = re.compile(r"\..+\.part")  # a process that was killed may leave such a file behind

_tag = ""  # of the run that this process works for


def tag(name: str) -> None:
    """Put `name` (letters and digits) into the temporary names of this process, so that `remove_stale` finds them."""
    global _tag
    _tag = f"{name}-"


def remove_stale(folders: Iterable[Path], name: str) -> None:
    """Remove the temporary files that processes of the run `name` left in these folders. All of them have ended."""
    for folder in set(folders):
        for path in folder.glob(f".unhiss-{name}-*.part"):
            path.unlink(missing_ok=True)


def temp_path(target: Path) -> Path:
    """A unique hidden name beside `target`."""
    return target.with_name(f".unhiss-{_tag}{uuid.uuid4().hex}.part")


def create(temporary: Path, target: Path) -> None:
    """Create an empty file with the permissions of the file that it will replace. Raises OSError."""
    temporary.touch()
    if target.exists():
        shutil.copymode(target, temporary)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary file to fill. It replaces `path` when the block ends; an exception leaves `path` as it was.

    A link is followed: the file it names is replaced. Raises OSError.
    """
    target = path.resolve()
    temporary = temp_path(target)
    try:
        create(temporary, target)
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # a full disk needs the space
