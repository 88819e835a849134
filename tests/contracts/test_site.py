"""The site that `make docs` builds: its navigation has every page, and its reference every package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PRIVATE = {"cli", "legacy", "markup", "runtime"}  # no interface for programs


def pages(entry: Any) -> Iterator[str]:
    """The pages of a navigation: names, lists of entries, and titles over them."""
    if isinstance(entry, str):
        yield entry
    else:
        for child in entry.values() if isinstance(entry, dict) else entry:
            yield from pages(child)


def test_the_navigation_has_every_page_once() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = sorted(page for page in pages(config["nav"]) if not page.startswith("https://"))
    assert listed == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_the_reference_has_every_package() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    documented = {name.partition(".")[2] for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)} - {""}
    source = ROOT / "src" / "unhiss"
    packages = {path.parent.name for path in source.glob("*/__init__.py")}
    modules = {path.stem for path in source.glob("*.py")} - {"__init__", "__main__"}
    assert documented == (packages | modules) - PRIVATE


def test_the_samples_to_hear_are_all_on_their_page() -> None:
    page = (DOCS / "samples" / "index.md").read_text(encoding="utf-8")
    files = {path.name for path in (DOCS / "samples").glob("*.mp3")}
    assert set(re.findall(r'src="([^"]+)"', page)) == files
    assert sum(path.stat().st_size for path in (DOCS / "samples").glob("*.mp3")) < 1_000_000
