"""A faulty web server: of every seven answers one is 503, one is cut off at its start, and one in its middle."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import socket
import struct
import threading
from pathlib import Path

from unhiss.remote import RemotePath


class Web(http.server.ThreadingHTTPServer):
    """Serves `folder` until `close`. lists: whether it lists folders. busy: answer 503 to everything.

    asked: every requested path so far.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.lists, self.busy = folder, True, False
        self.asked: list[str] = []
        self.numbers = itertools.count()
        self.url = RemotePath(f"http://127.0.0.1:{self.server_port}")
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *given: object) -> None: ...


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Web

    def __init__(self, request, address, server: Web) -> None:
        super().__init__(request, address, server, directory=str(server.folder))

    def log_message(self, *given: object) -> None: ...

    def list_directory(self, path):
        return super().list_directory(path) if self.server.lists else self.send_error(403)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        fault = next(self.server.numbers) % 7
        if self.server.busy or fault == 2:
            self.send_error(503)
        elif fault == 4:  # a reset, as a crash sends it
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == 6 and Path(self.translate_path(self.path)).is_file():
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])  # the rest is never sent
            self.close_connection = True
        else:
            super().do_GET()

    do_HEAD = do_GET

    def finish(self) -> None:
        with contextlib.suppress(OSError):  # a connection that was cut on purpose
            super().finish()
