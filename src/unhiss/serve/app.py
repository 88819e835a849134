"""The ASGI application: which path is answered by what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from unhiss.serve import protocol
from unhiss.serve.files import Exchange
from unhiss.serve.gate import Gate, bearer
from unhiss.serve.live import Conversation
from unhiss.serve.metrics import CONTENT_TYPE
from unhiss.serve.openapi import document
from unhiss.serve.pages import MISSING, reference
from unhiss.serve.protocol import Refusal
from unhiss.serve.service import Service

STATIC = Path(__file__).parent / "static"


class _Denoise:
    """POST /v1/denoise, as an ASGI application: it reads and sends piece by piece."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(self._service, scope, receive, send).run()


class _Live:
    """WS /v1/stream, as an ASGI application."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Conversation(self._service, scope, receive, send).run()


def build(service: Service, static: Path = STATIC) -> Starlette:
    """The application around a service, which begins and ends with it. static: where the built page lies."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with service:
            yield

    return Starlette(
        routes=_routes(service, static),
        middleware=[Middleware(Gate, origins=service.settings.origins)],
        exception_handlers={HTTPException: _refused, Refusal: _refused},
        lifespan=lifespan,
    )


def _routes(service: Service, static: Path) -> list[BaseRoute]:
    text = document(service)

    async def openapi(request: Request) -> Response:
        return JSONResponse(text)

    async def docs(request: Request) -> Response:
        return HTMLResponse(reference(text))

    async def models(request: Request) -> Response:
        service.check_token(bearer(request.scope))
        return JSONResponse({"models": _models(service)})

    async def health(request: Request) -> Response:
        draining = service.streams.closed
        counts = {"streams": len(service.streams), "files": len(service.files)}
        return JSONResponse({"status": "draining" if draining else "ok", **counts}, 503 if draining else 200)

    async def metrics(request: Request) -> Response:
        service.check_token(bearer(request.scope))
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def upgrade(request: Request) -> Response:
        raise Refusal(426, f"{protocol.PATH} is a WebSocket; connect with ws:// and say hello", "upgrade")

    plain = {"/v1/models": models, "/healthz": health, "/metrics": metrics, "/openapi.json": openapi, "/docs": docs}
    return [
        Route("/v1/denoise", _Post(_Denoise(service))),
        WebSocketRoute(protocol.PATH, _Live(service)),
        Route(protocol.PATH, upgrade),
        *(Route(path, answer) for path, answer in plain.items()),
        _page(static),
    ]


def _page(static: Path) -> BaseRoute:
    async def missing(request: Request) -> Response:
        return HTMLResponse(MISSING, 503)

    if (static / "index.html").is_file():
        return Mount("/", StaticFiles(directory=static, html=True))
    return Route("/", missing)


class _Post:
    """405 for anything but POST."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            return await self._app(scope, receive, send)
        error = {"error": {"status": 405, "message": f"{scope['method']} {scope['path']}; expected POST"}}
        await JSONResponse(error, 405, {"allow": "POST"})(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Refusal):
        status, message, headers = error.status, str(error), {}
    else:
        assert isinstance(error, HTTPException)
        status, headers = error.status_code, dict(error.headers or {})
        message = f"{request.method} {request.url.path}: {error.detail}; see /docs"
    if status == 401:
        headers = {"www-authenticate": "Bearer"}
    if status == 426:
        headers = {"upgrade": "websocket", "connection": "upgrade"}
    return JSONResponse({"error": {"status": status, "message": message}}, status, headers)


def _models(service: Service) -> list[dict]:
    known = {card.name: card for card in service.cards}
    out = []
    for name in service.files_of:
        card, default = known.get(name), name == service.default
        if card:
            facts = {"latency_ms": card.latency_ms, "summary": card.summary, "licence": card.licence}
            out.append({"name": name, "default": default, "live": card.causal, **facts})
        else:
            out.append({"name": name, "default": default, **service.facts_of_default})
    return out
