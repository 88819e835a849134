"""Exceptions of unhiss; the message is one line that tells the user what to do next."""

import errno
import importlib

INSTALL = "; run: pip install"  # begins the last part of a MissingExtra


class UnhissError(Exception):
    """Base class of all errors that unhiss raises deliberately. The message is one line a user can act on."""

    exit_code = 1


class AudioError(UnhissError):
    """A recording cannot be read, written or processed as requested."""


class ConfigError(UnhissError):
    """A setting does not exist or has an invalid value."""

    exit_code = 2


class CorpusError(UnhissError):
    """A folder is not a corpus of the given kind."""


class DataError(UnhissError):
    """A prepared data set is missing, incomplete, or unsuitable for the request."""


class ModelError(UnhissError):
    """A model or checkpoint is missing, damaged, or of the wrong kind."""


class WrongAudioOption(AudioError, ConfigError):
    """An option of a recording, such as its coding, has a value that it cannot have."""


class WrongCorpus(CorpusError, ConfigError):
    """There is no such corpus, or it has no such part."""


class WrongModel(ModelError, ConfigError):
    """There is no such model, or it cannot do what is asked."""


class MissingExtra(UnhissError):
    """A feature needs packages that are not part of the base installation."""


def describe_os_error(error: OSError) -> str:
    """One line for an error of the operating system: the file, the reason, and a hint.

    >>> describe_os_error(OSError(28, "No space left on device", "out/a.wav"))
    'out/a.wav: No space left on device; is the disk full?'
    """
    file = f"{error.filename}: " if error.filename else ""
    hint = "; is the disk full?" if error.errno in (errno.ENOSPC, errno.EFBIG) else ""
    return f"{file}{error.strerror or error}{hint}"


def need(extra: str, *modules: str, what: str = "this") -> None:
    """Raise MissingExtra, with the pip command that installs the extra, unless every module can be imported.

    what: that which needs it, such as the path of a recording.

    >>> need("eval", "math")
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            problem = f"{what} needs {module}, which is not installed"
            raise MissingExtra(f"{problem}{INSTALL} 'unhiss[{extra}]'") from error


def shown(value: object) -> str:
    """A value in an error message: its repr on one line, cut where it is long.

    >>> shown("16k"), shown(list(range(99)))
    ("'16k'", '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16...')
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(name: str, known: list[str]) -> str:
    """A hint for an unknown name: `did you mean …` with the closest known name, or the list of all.

    >>> nearest("unte", ["unet", "rced"])
    "did you mean 'unet'?"
    >>> nearest("xyz", ["unet", "rced"])
    'known: rced, unet'
    """
    import difflib

    matches = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {matches[0]!r}?" if matches else "known: " + ", ".join(sorted(known))
