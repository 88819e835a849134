"""The built page, a plain web server for it, and a browser to look at it."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chromium import Chromium  # isort: skip

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "src" / "hush" / "serve" / "static"


def lacking(line: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(line)
    pytest.skip(line)


class Site:
    """A folder behind a plain web server on this machine; asked: the paths that were asked of it."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        handler = functools.partial(self._handler(), directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[SimpleHTTPRequestHandler]:
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, *_: object) -> None:
                asked.append(self.path)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


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
