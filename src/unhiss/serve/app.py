"""The ASGI application: its routes, middleware and error responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from unhiss.serve import protocol
from unhiss.serve.denoise_endpoint import DenoiseEndpoint
from unhiss.serve.metrics import CONTENT_TYPE
from unhiss.serve.openapi import html_page, html_reference, openapi_document
from unhiss.serve.protocol import RequestError
from unhiss.serve.security import SecurityMiddleware, bearer_token, error_body
from unhiss.serve.service import Service
from unhiss.serve.stream_endpoint import StreamEndpoint

STATIC = Path(__file__).parent / "static"
MISSING_PAGE = (
    "<p>This server runs, but its page is not built. In a checkout, <code>make web</code> builds it; then restart the "
    'server.</p><p>The API works without it: <a href="docs">reference</a>, <a href="openapi.json">openapi.json</a>.</p>'
)


def build_app(service: Service, static: Path = STATIC) -> Starlette:
    """The application of a service, which it starts and stops. static: folder of the built page."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with service:
            yield

    origins = [origin.rstrip("/") for origin in service.config.origins]
    methods, headers = ("GET", "POST"), ("authorization", "content-type")
    return Starlette(
        routes=_routes(service, static),
        middleware=[
            Middleware(SecurityMiddleware, origins=origins),
            Middleware(CORSMiddleware, allow_origins=origins, allow_methods=methods, allow_headers=headers),
        ],
        exception_handlers={HTTPException: _error_response, RequestError: _error_response},
        lifespan=lifespan,
    )


def _routes(service: Service, static: Path) -> list[BaseRoute]:
    document = openapi_document(service)

    async def openapi(request: Request) -> Response:
        return JSONResponse(document)

    async def docs(request: Request) -> Response:
        return HTMLResponse(html_reference(document))

    async def models(request: Request) -> Response:
        service.check_token(bearer_token(request.scope))
        return JSONResponse({"models": service.model_list()})

    async def health(request: Request) -> Response:
        draining = service.streams.closed
        counts = {"streams": len(service.streams), "files": len(service.files)}
        return JSONResponse({"status": "draining" if draining else "ok", **counts}, 503 if draining else 200)

    async def metrics(request: Request) -> Response:
        service.check_token(bearer_token(request.scope))
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def upgrade(request: Request) -> Response:
        raise RequestError(426, f"{protocol.PATH} is a WebSocket; connect with ws:// and send a start", "upgrade")

    async def missing_page(request: Request) -> Response:
        return HTMLResponse(html_page("unhiss", MISSING_PAGE), 503)

    has_page = (static / "index.html").is_file()
    return [
        Route("/v1/denoise", partial(DenoiseEndpoint, service)),
        WebSocketRoute(protocol.PATH, partial(StreamEndpoint, service)),
        Route(protocol.PATH, upgrade),
        Route("/v1/models", models),
        Route("/healthz", health),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/docs", docs),
        Mount("/", StaticFiles(directory=static, html=True)) if has_page else Route("/", missing_page),
    ]


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        status, headers = error.status_code, dict(error.headers or {})
        message = f"{request.method} {request.url.path}: {error.detail}; see /docs"
    else:
        assert isinstance(error, RequestError)
        status, message, headers = error.status, str(error), {}
    if status == 401:
        headers = {"www-authenticate": "Bearer"}
    if status == 426:
        headers = {"upgrade": "websocket", "connection": "upgrade"}
    return JSONResponse(error_body(status, message), status, headers)
