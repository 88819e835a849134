"""The ASGI application: its routes, middleware and error responses."""

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
from unhiss.serve.page import MISSING_PAGE, STATIC, has_page
from unhiss.serve.protocol import RequestError
from unhiss.serve.security import SecurityMiddleware, bearer_token, error_response
from unhiss.serve.service import Service
from unhiss.serve.stream_endpoint import StreamEndpoint


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

    def constant(path: str, response: Response) -> Route:
        return Route(path, response, methods=["GET"])

    upgrade = error_response(426, f"{protocol.PATH} is a WebSocket; connect with ws:// and send a start")
    return [
        Route("/v1/denoise", partial(DenoiseEndpoint, service)),
        WebSocketRoute(protocol.PATH, partial(StreamEndpoint, service)),
        constant(protocol.PATH, upgrade),
        Route("/v1/models", models),
        Route("/healthz", health),
        Route("/metrics", metrics),
        constant("/openapi.json", JSONResponse(document)),
        constant("/docs", HTMLResponse(html_reference(document))),
        Mount("/", StaticFiles(directory=static, html=True))
        if has_page(static)
        else constant("/", HTMLResponse(html_page("unhiss", MISSING_PAGE), 503)),
    ]


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestError):
        return error_response(error.status, str(error))
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}; see /docs"
    return error_response(error.status_code, message, error.headers)
