"""The HTTP server: listening, time limits of connections, and graceful shutdown."""

import asyncio
import ipaddress
import logging
import socket
import time
from types import FrameType
from typing import Any

import uvicorn

from unhiss.errors import ConfigError, UnhissError
from unhiss.serve.app import build_app
from unhiss.serve.service import Service

MAX_CONNECTIONS = 1000  # open at a time; more are answered with 503
CLOSE_S = 2.0  # for a closed connection to deliver its last bytes
CHECK_INTERVAL_S = 0.1  # between checks of the time limits of connections
_REQUEST_TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    b'{"error": {"status": 408, "message": "no complete request in time"}}'
)


class HttpServer(uvicorn.Server):
    """uvicorn's server, which also closes connections without a request and lets live streams finish."""

    def __init__(self, service: Service) -> None:
        limits = service.limits
        for name in ("uvicorn.error", "python_multipart"):  # errors of clients are counted in /metrics, not logged
            logging.getLogger(name).setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            build_app(service), log_config=None, access_log=False, ws="websockets-sansio", http="h11", lifespan="on",
            ws_max_size=limits.max_message_bytes, ws_per_message_deflate=False, proxy_headers=False,
            server_header=False, ws_ping_interval=limits.idle_s / 2, ws_ping_timeout=limits.idle_s / 2,
            limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=int(max(1, limits.handshake_s)),
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        super().__init__(config)
        self._service = service

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        closing = asyncio.create_task(self._close_late_connections())
        await super().serve(sockets)
        closing.cancel()

    async def _close_late_connections(self) -> None:
        """Close connections without a complete request in time, and abort closed ones that are not read to the end."""
        since: dict[tuple[Any, bool], float] = {}  # of each idle or closing connection
        while True:
            now = time.monotonic()
            connections = [(item, item.transport.is_closing()) for item in self.server_state.connections]
            since = {key: since.get(key, now) for key in connections if key[1] or _awaits_request(key[0])}
            for (connection, is_closing), started in since.items():
                if is_closing and now - started > CLOSE_S:
                    connection.transport.abort()
                elif not is_closing and now - started > self._service.limits.handshake_s:
                    connection.transport.write(_REQUEST_TIMEOUT)
                    connection.transport.close()
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        draining = asyncio.create_task(self._service.drain())
        while not (draining.done() or self.force_exit):  # a second signal ends it at once
            await asyncio.wait([draining], timeout=0.1)
        draining.cancel()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's, which would raise the signal again at the end; here the exit code is 0."""
        self.force_exit = self.should_exit  # the second signal
        self.should_exit = True


def _awaits_request(connection: object) -> bool:
    """Whether it is an HTTP connection that processes no request."""
    cycle = getattr(connection, "cycle", ...)
    return cycle is None or (cycle is not ... and cycle.response_complete)


def check_host(host: str, token: str, insecure: bool) -> None:
    """Raises ConfigError for an address that others can reach, without a token and without `insecure`."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not (token or insecure or is_loopback):
        raise ConfigError(
            f"host = {host}, which others can reach, and no token; give --token (or UNHISS_TOKEN), or say --insecure"
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises UnhissError."""
    listener = None
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        if listener:
            listener.close()
        line = f"{host}:{port} cannot be listened on ({error}); try another --port, or 0 for a free one"
        raise UnhissError(line) from error
    return listener


def server_url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"
