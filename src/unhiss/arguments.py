"""Checks of what callers pass to public functions: an error has the argument, its value and what was expected."""

import os
from numbers import Real
from pathlib import Path
from typing import Any

from unhiss.errors import ConfigError, shown

_FLAGS = ("bool", "bool_")  # Python's, and numpy's by both of its names; numpy itself is not imported for this


def check_number(name: str, value: Any, low: float, high: float, expected: str) -> None:
    """Raise ConfigError unless `value` is a number from `low` to `high`; NaN and booleans are none.

    >>> check_number("mix", 0.5, 0, 1, "0 (the input) to 1 (denoised)")
    """
    if not is_number(value) or not low <= value <= high:
        raise ConfigError(f"{name} = {shown(value)}; expected {expected}")


def check_count(name: str, value: Any, low: int, expected: str, high: int = 2**31 - 1) -> None:
    """Raise ConfigError unless `value` is a whole number from `low` to `high`."""
    check_number(name, value, low, high, expected)
    if value % 1:
        raise ConfigError(f"{name} = {shown(value)}; expected {expected}")


def check_flags(**values: Any) -> None:
    """Raise ConfigError unless each value is True or False."""
    for name, value in values.items():
        if not _is_flag(value):
            raise ConfigError(f"{name} = {shown(value)}; expected True or False")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of the names."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} = {shown(value)}; expected one of {', '.join(choices)}")


def check_text(name: str, value: Any, expected: str) -> None:
    """Raise ConfigError unless `value` is a string that is not empty, or None."""
    if value is not None and not (isinstance(value, str) and value):
        raise ConfigError(f"{name} = {shown(value)}; expected {expected}")


def as_path(name: str, value: Any, expected: str = "the path of a file") -> Path:
    """`value` as a Path. Raises ConfigError for anything but a string or path."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(text, str) or not text or "\0" in text:
        raise ConfigError(f"{name} = {shown(value)}; expected {expected}")
    return Path(text)


def is_number(value: Any) -> bool:
    """Whether a value is a real number of Python or numpy, and no boolean."""
    return isinstance(value, Real) and not _is_flag(value)


def _is_flag(value: Any) -> bool:
    return type(value).__name__ in _FLAGS
