"""What mkdocs.yml needs beside its plugins: links to files outside docs/, and docstrings as Markdown.

`Docstrings` is an extension of griffe, which reads the docstrings for mkdocstrings. `on_page_markdown` is a hook of
mkdocs.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from griffe import Extension, Object

REPOSITORY = "https://github.com/unhiss/unhiss/blob/main/"
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s#]+)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page with links to files outside docs/ leading to the repository."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def absolute(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        return match[0] if path.startswith("docs/") else f"]({REPOSITORY}{path}"

    return LINK.sub(absolute, markdown)


def as_markdown(text: str) -> str:
    """A docstring with its doctests as fenced code and a blank line around indented equations."""
    lines: list[str] = []
    fenced = indented = False
    for line in text.splitlines():
        if fenced and not line.strip():
            lines.append("```")
            fenced = False
        elif line.startswith(">>> ") and not fenced:
            lines += ["", "```pycon"]
            fenced = True
        if not fenced and line.startswith("    ") != indented:
            indented = line.startswith("    ")
            lines.append("")
        lines.append(line)
    return "\n".join([*lines, *(["```"] if fenced else [])])


class Docstrings(Extension):
    """Rewrites each docstring with `as_markdown`."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_package(self, *, pkg: Object, **_: Any) -> None:
        self.on_object(obj=pkg)  # on_object gets the members of a package only
