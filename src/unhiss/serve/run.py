"""The server itself: where it listens, how it watches its connections, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

import uvicorn

from unhiss.errors import ConfigError, UnhissError
from unhiss.serve.app import build
from unhiss.serve.service import Service, Settings

CONNECTIONS = 1000  # open at a time, beyond which the answer is 503
LINGER_S = 2.0  # that a closed connection may take to deliver its last bytes
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    b'{"error": {"status": 408, "message": "no whole request came in time"}}'
)


class Server(uvicorn.Server):
    """uvicorn's server, which also ends connections that say nothing, and lets live streams finish."""

    def __init__(self, service: Service) -> None:
        limits = service.limits
        for name in ("uvicorn.error", "python_multipart"):  # what clients do wrong is counted in /metrics
            logging.getLogger(name).setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            build(service), log_config=None, access_log=False, ws="websockets-sansio", http="h11", lifespan="on",
            ws_max_size=limits.message_bytes, ws_per_message_deflate=False, proxy_headers=False, server_header=False,
            ws_ping_interval=limits.idle_s / 2, ws_ping_timeout=limits.idle_s / 2, limit_concurrency=CONNECTIONS,
            timeout_keep_alive=int(max(1, limits.hello_s)), timeout_graceful_shutdown=2,
        )  # fmt: skip
        super().__init__(config)
        self.should_exit = self.force_exit = False
        self._service = service
        self._silent: dict[object, float] = {}
        self._closing: dict[object, float] = {}

    async def on_tick(self, counter: int) -> bool:
        self._watch(time.monotonic())
        return await super().on_tick(counter)

    def _watch(self, now: float) -> None:
        """End what sends no whole request in time, and what is closed but is not read to its end."""
        connections = set(self.server_state.connections)
        closing = {one for one in connections if one.transport.is_closing()}
        silent = {one for one in connections - closing if _awaits_request(one)}
        self._closing = {one: self._closing.get(one, now) for one in closing}
        self._silent = {one: self._silent.get(one, now) for one in silent}
        for one, since in self._closing.items():
            if now - since > LINGER_S:
                one.transport.abort()  # type: ignore[attr-defined]
        for one, since in self._silent.items():
            if now - since > self._service.limits.hello_s:
                one.transport.write(_LATE)  # type: ignore[attr-defined]
                one.transport.close()  # type: ignore[attr-defined]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        draining = asyncio.create_task(self._service.drain())
        while not (draining.done() or self.force_exit):  # asked twice, nobody waits
            await asyncio.wait([draining], timeout=0.1)
        draining.cancel()
        watching = asyncio.create_task(self._watch_on())
        await super().shutdown(sockets)
        watching.cancel()

    async def _watch_on(self) -> None:
        while True:
            self._watch(time.monotonic())
            await asyncio.sleep(0.1)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but an end that was asked for and went well is exit code 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:  # the second time
            self.force_exit = True
        self.should_exit = True


def _awaits_request(connection: object) -> bool:
    """Whether a connection is HTTP with no request in work."""
    cycle = getattr(connection, "cycle", ...)
    return cycle is None or (cycle is not ... and cycle.response_complete)


def check_host(host: str, token: str, insecure: bool) -> None:
    """Raises ConfigError for an address that others reach, unless they need a token or it was said to be meant."""
    if not (token or insecure or _is_loopback(host)):
        raise ConfigError(
            f"host = {host}, which others can reach, and no token; give --token (or UNHISS_TOKEN), or say --insecure"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises UnhissError if it cannot."""
    found = None
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, proto)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(2048)
    except (OSError, OverflowError) as error:
        if found:
            found.close()
        raise UnhissError(
            f"{host}:{port} cannot be listened on ({error}); try another --port, or 0 for a free one"
        ) from error
    return found


def address(host: str, found: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{found.getsockname()[1]}"


def serve(settings: Settings, found: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or Ctrl-C, then let what runs finish. Raises UnhissError."""
    Server(Service(settings)).run([found])
