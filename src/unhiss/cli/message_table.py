"""Errors and warnings of a run over many recordings: the first few as they come, and all in a table at the end."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from unhiss.cli.terminal import echo
from unhiss.errors import INSTALL

if TYPE_CHECKING:
    from unhiss.cli.tasks import DenoiseTask

SHOWN = 5  # messages that need no table
MAX_WIDTH = 100  # characters of a line of names
_NUMBER = re.compile(r"\b\d(?:[\d.,]*\d)?\b")  # but not in a name, such as MP3


class RunMessages:
    """Prints what goes wrong in a run on stderr, or as JSON on stdout, where warnings are part of the reports.

    verbose: print every message as it comes, and no table.
    """

    def __init__(self, verbose: bool, as_json: bool) -> None:
        self._all, self._as_json = verbose or as_json, as_json
        self._hints: set[str] = set()  # what to install, said already
        self.errors, self.warnings = MessageTable(), MessageTable()

    def fail(self, task: DenoiseTask, message: str) -> None:
        message = _as_typed(message)
        problem, _, hint = message.partition(INSTALL)
        self.errors.add(task, message)
        if self._as_json:
            echo(json.dumps({"source": str(task.source), "error": message}))
        elif self._all or len(self.errors) <= SHOWN:
            echo(f"unhiss: {problem if hint in self._hints else message}", err=True)
            self._hints |= {hint} - {""}

    def warn(self, task: DenoiseTask, messages: Iterable[str]) -> None:
        for message in () if self._as_json else map(_as_typed, messages):
            self.warnings.add(task, message)
            if self._all or len(self.warnings) <= SHOWN:
                echo(f"unhiss: {task.source_name}: {message}", err=True)

    def print_tables(self) -> None:
        """The messages that were not printed, with those that were."""
        for name, table in (("warnings", self.warnings), ("errors", self.errors)):
            if len(table) > SHOWN and not self._all:
                echo(f"unhiss: {len(table):,} {name} (--verbose prints each as it comes):", err=True)
                for line in table.lines():
                    echo(line, err=True)


class MessageTable:
    """Which recordings have which message."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}  # of recordings, by message without numbers
        self._texts: dict[str, set[str]] = {}  # messages with their numbers, by the same

    def add(self, task: DenoiseTask, message: str) -> None:
        text = _without_paths(task, message)
        reason = _NUMBER.sub("…", text)
        self._names.setdefault(reason, []).append(task.source_name)
        self._texts.setdefault(reason, set()).add(text)

    def __len__(self) -> int:
        return sum(map(len, self._names.values()))

    def lines(self) -> Iterator[str]:
        """How many recordings have which message, most first, each with their names."""
        width = min(MAX_WIDTH, shutil.get_terminal_size().columns - 1)
        indent = " " * 8
        for reason, names in sorted(self._names.items(), key=lambda item: -len(item[1])):
            texts = self._texts[reason]
            yield f"{len(names):5,} x {reason if len(texts) > 1 else min(texts)}"
            yield from textwrap.wrap(
                ", ".join(names), width, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
                break_on_hyphens=False,
            )  # fmt: skip


def _as_typed(message: str) -> str:
    """A message with options as they are typed."""
    from unhiss.cli.option_names import in_option_names

    return in_option_names(message, click.get_current_context().command)


def _without_paths(task: DenoiseTask, message: str) -> str:
    for path in (*task.outputs, task.source):
        message = message.removeprefix(str(path)).lstrip(": ")
    return message
