"""Validation of the options of Denoiser and Stream."""

import math
from collections.abc import Iterable
from typing import Any

from unhiss.arguments import check_count, check_flags, check_number
from unhiss.errors import ConfigError, nearest


def check_options(atten_limit_db: Any, mix: Any, threads: Any = 0, **flags: Any) -> None:
    """Raise ConfigError for an option out of range or of another type; flags: options that are True or False."""
    if atten_limit_db is not None:
        check_number("atten_limit_db", atten_limit_db, 0, math.inf, "dB from 0 (no attenuation), or None")
    check_number("mix", mix, 0, 1, "0 (the input) to 1 (denoised)")
    check_count("threads", threads, 0, "1 or more, or 0 for all cores")
    check_flags(**flags)


def check_names(options: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for an option that does not exist."""
    for name in set(options) - set(known):
        raise ConfigError(f"no option {name!r}; {nearest(name, list(known))}")
