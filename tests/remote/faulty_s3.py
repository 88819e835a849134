"""A faulty S3 server: `python faulty_s3.py PERIOD` prints its address and serves until stdin ends.

Of every PERIOD requests one is answered 503, one is cut off before any answer, and one in the middle of it; with
PERIOD = 0 none fails, with PERIOD = 1 all are answered 503.
"""

from __future__ import annotations

import itertools
import logging
import socket
import struct
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

PERIOD = int(sys.argv[1])
KINDS = {3 * PERIOD // 4: "half", PERIOD // 2: "cut", PERIOD // 4: "503"}  # the last one counts for PERIOD = 1
inside = DomainDispatcherApplication(create_backend_app)
numbers = itertools.count()


class Quiet(WSGIRequestHandler):
    def log(self, *words: object) -> None: ...


def reset(environ: dict) -> None:
    """End the connection as a crash does: with a reset, not in good order."""
    connection = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RDWR)  # the handler still holds it: what is closed now would end much later
    connection.close()


def stumbling(environ: dict, start):
    kind = KINDS.get(next(numbers) % PERIOD) if PERIOD else None
    if kind == "503":
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start("503 Slow Down", [("Content-Length", "0")])
        return [b""]
    if kind == "cut":
        reset(environ)
        raise ConnectionResetError
    answer = b"".join(inside(environ, start))
    if kind == "half" and len(answer) > 1:

        def half():
            yield answer[: len(answer) // 2]
            reset(environ)
            raise ConnectionResetError

        return half()
    return [answer]


logging.disable()
sys.stderr = open("/dev/null", "w")  # noqa: PTH123, SIM115 - its own tracebacks of what is done on purpose
server = make_server("127.0.0.1", 0, stumbling, threaded=True, request_handler=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.port}", flush=True)
sys.stdin.read()
