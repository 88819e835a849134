"""Security of a server: headers and origins of the page, tokens of requests, and signatures of stream states."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unhiss.serve.protocol import RequestError

# The page runs its own scripts and WebAssembly, and connects to this server only.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}
ERROR_HEADERS: dict[int, dict[str, str]] = {
    401: {"www-authenticate": "Bearer"},
    426: {"upgrade": "websocket", "connection": "upgrade"},
    429: {"retry-after": "5"},
    503: {"retry-after": "5"},
}
SIGNATURE_SIZE = 32  # bytes of an HMAC-SHA256


def bearer_token(scope: Scope) -> str:
    """The token of the Authorization header; "" for none."""
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def client_address(scope: Scope) -> str:
    return str((scope.get("client") or ("unknown",))[0])


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response of every HTTP error."""
    body = {"error": {"status": status, "message": message}}
    return JSONResponse(body, status, {**ERROR_HEADERS.get(status, {}), **(headers or {})})


class SecurityMiddleware:
    """Adds HEADERS to every response, and rejects (403) pages of other origins unless they are in `origins`."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Headers(scope=scope)
        origin = request.get("origin", "")
        if origin and origin not in self._origins and urlsplit(origin).netloc != request.get("host"):
            response = error_response(403, f"requests from pages of {origin[:100]} are not allowed")
            return await response(scope, receive, send_with_headers)
        await self._app(scope, receive, send_with_headers)


class StateSigner:
    """Signs the state of a stream, so that only servers with the same key accept it.

    key: shared by servers that continue each other's streams; "" makes a random one. Clients carry a state from one
    server to the next. Without a signature they could send any shapes and values, and these would be processed in
    one batch with the streams of others.
    """

    def __init__(self, key: str = "") -> None:
        self._key = key.encode() or secrets.token_bytes(SIGNATURE_SIZE)

    def sign(self, state: bytes) -> str:
        return base64.b64encode(self._signature(state) + state).decode()

    def verify(self, text: str) -> bytes:
        """The state of a signed text. Raises RequestError (400) if it was not signed with this key."""
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        signature, state = data[:SIGNATURE_SIZE], data[SIGNATURE_SIZE:]
        if not hmac.compare_digest(signature, self._signature(state)):
            raise RequestError(
                400, "a state that is damaged or of a server with another state key; give all servers one "
                "UNHISS_STATE_KEY, or start without state", "state",
            )  # fmt: skip
        return state

    def _signature(self, state: bytes) -> bytes:
        return hmac.digest(self._key, state, "sha256")
