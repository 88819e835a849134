"""Messages name options as Python spells them; on the command line they are named as they are typed there."""

import re

import click

_OR_NONE = re.compile(r", or None\b(?: for [^;]*)?")  # nobody types it: leaving the option out means that


def in_option_names(message: str, command: click.Command | None) -> str:
    """A message with the options of a command in place of its parameters.

    >>> option = click.Option(["--atten-lim", "atten_limit_db"]), click.Option(["--force"], is_flag=True)
    >>> in_option_names("a.wav exists; force=True overwrites it", click.Command("x", params=option))
    'a.wav exists; --force overwrites it'
    >>> in_option_names("atten_limit_db = -3; expected dB from 0", click.Command("x", params=option))
    '--atten-lim -3; expected dB from 0'
    """
    message = _OR_NONE.sub("", message)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)] if command else []
    for option in options:
        typed = _typed(option)
        name = rf"(?<![\w./\\-]){option.name}"
        message = re.sub(rf"{name}=True\b", typed, message)
        message = re.sub(rf"{name} ?= ?(?=\S)", f"{typed} ", message)
        if "_" in str(option.name):  # else it may be a word
            message = re.sub(rf"{name}(?![\w./\\-])", typed, message)
    return message


def _typed(option: click.Option) -> str:
    """The long form of an option that is closest to its name in Python, else the first."""
    long = [text for text in option.opts if text.startswith("--")] or option.opts
    return next((text for text in long if text[2:].replace("-", "_") == option.name), long[0])
