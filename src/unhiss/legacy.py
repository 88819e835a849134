"""Recognises files of the project's former name, which are refused."""

from collections.abc import Iterable

OLD_NAME = "hush"  # of the project up to 0.1.0; nothing under that name was ever published


def is_old(keys: Iterable[str]) -> bool:
    """Whether a key of a file's metadata carries the old name: `NAME` itself, or `NAME.something`."""
    return any(key.partition(".")[0] == OLD_NAME for key in keys)
