"""The built page, a plain web server for it, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium
from plain_server import Site, lacking

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "src" / "unhiss" / "serve" / "static"


@pytest.fixture(scope="session")
def page() -> Path:
    """The folder of the built page."""
    if not (PAGE / "index.html").is_file():
        lacking("the page is not built; make web builds it")
    return PAGE


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        lacking("no chromium to look at the page with; apt-get install chromium")
    return str(found)


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None or not (ROOT / "web" / "node_modules" / "stamp").is_file():
        lacking("no node, or no node_modules; apt-get install nodejs npm, then make web")
    return str(found)


@pytest.fixture(scope="module")
def site(page: Path) -> Iterator[Site]:
    made = Site(page)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Hears examples/noisy.wav in its microphone."""
    heard = f"--use-file-for-fake-audio-capture={ROOT / 'examples' / 'noisy.wav'}"
    with Chromium(chromium, tmp_path_factory.mktemp("browser"), heard) as made:
        yield made
