"""Types of command-line parameters: local paths, and URLs of files and folders on remote storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
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
