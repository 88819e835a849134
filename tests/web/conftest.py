"""The built page, a web server for it, and a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium
from missing_tools import skip_or_fail
from plain_server import Site

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "src" / "unhiss" / "serve" / "static"


@pytest.fixture(scope="session")
def page() -> Path:
    """The folder of the built page."""
    if not (PAGE / "index.html").is_file():
        skip_or_fail("the page is not built; make web builds it")
    return PAGE


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        skip_or_fail("chromium is missing; apt-get install chromium")
    return str(path)


@pytest.fixture(scope="session")
def node() -> str:
    path = shutil.which("node")
    if path is None or not (ROOT / "web" / "node_modules" / "stamp").is_file():
        skip_or_fail("node or node_modules are missing; apt-get install nodejs npm, then make web")
    return str(path)


@pytest.fixture(scope="session")
def site(page: Path) -> Iterator[Site]:
    server = Site(page)
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One Chromium for all tests; its microphone plays examples/noisy.wav."""
    flag = f"--use-file-for-fake-audio-capture={ROOT / 'examples' / 'noisy.wav'}"
    with Chromium(chromium, tmp_path_factory.mktemp("browser"), flag) as chromium_browser:
        yield chromium_browser
