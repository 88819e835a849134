"""Types of command-line parameters: local paths, URLs of files and folders on remote storage, and times."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic from click 8.2 on


class PathOrUrl(ParamType):
    """A local path, `-`, or the URL of a remote file or folder."""

    name = "path"

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        if not isinstance(value, str) or "://" not in value:
            return Path(value)
        from unhiss.remote import parse_path

        return parse_path(value)

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> Any:
        return click.Path().shell_complete(context, parameter, incomplete)


class OutputPath(PathOrUrl):
    """A path, and whether a slash at its end says that it is a folder, which need not exist yet."""

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        is_folder = str(value).endswith(("/", os.sep))
        return value if isinstance(value, tuple) else (super().convert(value, parameter, context), is_folder)


class FolderOrUrl(PathOrUrl):
    """A local folder, or the URL of a remote one."""

    name = "folder"

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        return super().convert(value.rstrip("/") if "://" in str(value) else value, parameter, context)


class LocalPath(click.Path):
    """A local path. A URL is refused, before a folder with its name is created."""

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            self.fail(f"{value} is a URL; give a path of this machine", parameter, context)
        return super().convert(value, parameter, context)


class Seconds(ParamType):
    """A time: 90.5 (seconds), 1:30.5 or 1:02:03.5."""

    name = "time"

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        """
        >>> Seconds()("1:02:03.5"), Seconds()("61:00"), Seconds()("0.25")
        (3723.5, 3660.0, 0.25)
        """
        if isinstance(value, float):
            return value
        *upper, last = str(value).split(":")
        try:
            numbers = [*map(int, upper), float(last)]
        except ValueError:
            numbers = [math.nan]
        signed = upper and any(sign in value for sign in "+-")
        if not math.isfinite(sum(numbers)) or len(upper) > 2 or signed or any(number >= 60 for number in numbers[1:]):
            self.fail(
                f"{value!r} is no time; expected seconds, M:SS or H:MM:SS.s, such as 1:02:03.5", parameter, context
            )
        return float(sum(number * 60**power for power, number in enumerate(reversed(numbers))))


class RenamedOption(click.Option):
    """An option that had other names before: they still work, but the help names only the first."""

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        names, self.opts = self.opts, self.opts[:1]
        try:
            return super().get_help_record(context)
        finally:
            self.opts = names


def complete_model(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the completion of --model in a shell: the installed models, and files."""
    from click.shell_completion import CompletionItem

    from unhiss.weights import SHIPPED

    names = sorted(path.stem for path in SHIPPED.glob("*.onnx") if path.stem.startswith(incomplete))
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]
