"""What stands before every request: who it comes from, which pages may ask, and the headers of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unhiss.serve.protocol import Refusal

# The page runs its own code, WebAssembly among it, and asks nobody but this server.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


def header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def bearer(scope: Scope) -> str:
    """The token that a request shows; "" for none."""
    kind, _, token = header(scope, b"authorization").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def client_of(scope: Scope) -> str:
    return str((scope.get("client") or ("unknown",))[0])


class Gate:
    """Middleware. A page of another place, by its Origin, is refused unless it is one of `origins`."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app, self._origins = app, frozenset(origin.rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        origin = header(scope, b"origin")
        foreign = bool(origin) and urlsplit(origin).netloc != header(scope, b"host")
        if foreign and origin not in self._origins:
            return await refuse(scope, receive, send, Refusal(403, f"no page of {origin[:100]} may ask here", "origin"))
        allowed = _crossing(origin) if foreign else []

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name.lower() for name, _ in message["headers"]}
                extra = [pair for pair in (*HEADERS, *allowed) if pair[0] not in have]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        if foreign and scope["type"] == "http" and scope["method"] == "OPTIONS":
            await dressed({"type": "http.response.start", "status": 204, "headers": []})
            return await dressed({"type": "http.response.body"})
        await self._app(scope, receive, dressed)


def _crossing(origin: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"vary", b"origin"),
    ]


async def refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """An HTTP answer to a request or a handshake."""
    body = error_body(refusal)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    if scope["type"] == "websocket":
        await receive()
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def error_body(refusal: Refusal) -> bytes:
    return json.dumps({"error": {"status": refusal.status, "message": str(refusal)}}).encode()
