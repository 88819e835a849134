"""A web server of static files."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Site:
    """A folder behind a web server on this machine; requests: their paths."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        handler = functools.partial(self._handler(), directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[SimpleHTTPRequestHandler]:
        requests = self.requests

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, *_: object) -> None:
                requests.append(self.path)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
