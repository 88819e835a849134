"""Everything unhiss refuses, as exceptions whose one line tells the user what to do next."""

from __future__ import annotations

import errno
import importlib


class UnhissError(Exception):
    """Base of all errors unhiss raises on purpose. The message is one line a user can act on."""

    exit_code = 1


class AudioError(UnhissError):
    """A recording cannot be read, written or processed as asked."""


class ConfigError(UnhissError):
    """A setting does not exist or has a value that cannot work."""

    exit_code = 2


class CorpusError(UnhissError):
    """A folder is not the corpus it was said to be."""


class DataError(UnhissError):
    """A prepared data set is missing, unfinished, or does not fit what is asked of it."""


class ModelError(UnhissError):
    """A model or checkpoint is missing, damaged, or of another kind."""


class MissingExtra(UnhissError):
    """A feature needs packages that the base install leaves out."""


def system_line(error: OSError) -> str:
    """What the system refused, where, and what may help.

    >>> system_line(OSError(28, "No space left on device", "out/a.wav"))
    'out/a.wav: No space left on device; is the disk full?'
    """
    where = f"{error.filename}: " if error.filename else ""
    hint = "; is the disk full?" if error.errno in (errno.ENOSPC, errno.EFBIG) else ""
    return f"{where}{error.strerror or error}{hint}"


def need(extra: str, *modules: str) -> None:
    """Raise MissingExtra with the pip line that helps unless every module can be imported.

    >>> need("eval", "math")
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingExtra(
                f"this needs {module}, which is not installed; run: pip install 'unhiss[{extra}]'"
            ) from error


def nearest(name: str, known: list[str]) -> str:
    """A hint for a mistyped name: `did you mean …` when one is near, else the whole list.

    >>> nearest("unte", ["unet", "rced"])
    "did you mean 'unet'?"
    >>> nearest("xyz", ["unet", "rced"])
    'known: rced, unet'
    """
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(sorted(known))
