"""Routes, headers, origins and tokens of the application."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import RunningServer, error_message, request, serving
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from unhiss.serve.app import build_app
from unhiss.serve.client import Client, ServerError
from unhiss.serve.service import ServerConfig, Service


def test_models_health_and_metrics_describe_the_server(server: RunningServer) -> None:
    models = json.loads(request(server, "GET", "/v1/models")[2])["models"]
    default = [model for model in models if model["default"]]
    assert len(default) == 1 and default[0]["live"] and default[0]["latency_ms"] == 32
    assert {"small", "unet"} <= {model["name"] for model in models}
    with server.client.stream(16000) as stream:
        stream.push(np.zeros(1600, np.float32))
        health = json.loads(request(server, "GET", "/healthz")[2])
        assert health["status"] == "ok" and health["streams"] >= 1
        text = request(server, "GET", "/metrics")[2].decode()
        assert re.search(r"^unhiss_streams_active [1-9]", text, re.MULTILINE)
        assert re.search(r"^unhiss_step_seconds_count [1-9]", text, re.MULTILINE)


def test_every_response_has_the_security_headers(server: RunningServer) -> None:
    for path in ("/", "/docs", "/openapi.json", "/nowhere"):
        status, headers, body = request(server, "GET", path)
        assert "default-src 'self'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert status != 404 or path == "/nowhere", body


def test_a_stream_without_an_upgrade_says_how(server: RunningServer) -> None:
    status, headers, body = request(server, "GET", "/v1/stream")
    assert (status, headers["upgrade"]) == (426, "websocket") and "ws://" in error_message(body)


def test_denoise_accepts_only_post(server: RunningServer) -> None:
    status, headers, body = request(server, "GET", "/v1/denoise")
    assert (status, headers["allow"]) == (405, "POST") and "expected POST" in error_message(body)


def get_root(app: Starlette) -> tuple[int, bytes]:
    """Status and body of GET /, without a server."""
    sent: list[dict] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": "GET", "path": "/",
        "root_path": "", "headers": [], "query_string": b"",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_the_page_is_served_where_it_is_built_and_otherwise_the_command_that_builds_it(
    leveller: Path, tmp_path: Path
) -> None:
    service = Service(ServerConfig(model=str(leveller)))
    status, body = get_root(build_app(service, tmp_path))
    assert status == 503 and b"make web" in body
    (tmp_path / "index.html").write_text("<script>the page</script>")
    app = build_app(service, tmp_path)
    assert get_root(app) == (200, b"<script>the page</script>") and isinstance(app.routes[-1], Mount)


def test_pages_of_other_origins_are_rejected(server: RunningServer) -> None:
    assert request(server, "GET", "/healthz", origin="https://evil.example")[0] == 403
    assert request(server, "GET", "/healthz", origin=server.url)[0] == 200
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{server.port}/v1/stream", origin=Origin("https://evil.example"), proxy=None)


def test_pages_of_an_allowed_origin_are_accepted(leveller: Path) -> None:
    with serving(leveller, origins=("https://good.example/",)) as server:
        status, headers, _ = request(server, "GET", "/healthz", origin="https://good.example")
        assert (status, headers["access-control-allow-origin"]) == (200, "https://good.example")
        preflight: dict[str, Any] = {
            "origin": "https://good.example", "access_control_request_method": "POST",
            "access_control_request_headers": "authorization",
        }  # fmt: skip
        status, headers, _ = request(server, "OPTIONS", "/v1/denoise", **preflight)
        assert status == 200 and "POST" in headers["access-control-allow-methods"]
        assert "authorization" in headers["access-control-allow-headers"].lower()
        assert request(server, "GET", "/healthz", origin="https://evil.example")[0] == 403


def test_a_token_is_required_for_everything_but_health(leveller: Path) -> None:
    with serving(leveller, token="geheim") as server:
        for method, path in (("POST", "/v1/denoise"), ("GET", "/v1/models"), ("GET", "/metrics")):
            for header in ("", "Bearer geheiM", "Basic geheim"):
                headers: dict[str, Any] = {"authorization": header} if header else {}
                status, answer, _ = request(server, method, path, b"x" if method == "POST" else None, **headers)
                assert (status, answer["www-authenticate"]) == (401, "Bearer")
        assert request(server, "GET", "/healthz")[0] == 200
        for token in ("", "wrong", "gehéim"):
            with pytest.raises(ServerError) as error:
                Client(server.url).stream(16000, token=token)
            assert error.value.status == 401
        with server.client.stream(16000) as by_header, Client(server.url).stream(16000, token="geheim") as by_message:
            for stream in (by_header, by_message):
                assert stream.push(np.zeros(160, np.float32)).shape == (160,)
        assert request(server, "GET", "/v1/models", authorization="Bearer geheim")[0] == 200


@pytest.mark.parametrize("call", [lambda client: client.models(), lambda client: client.stream(16000)])
def test_without_a_server_the_error_is_one_line(call: Callable[[Client], object]) -> None:
    with pytest.raises(ServerError, match="is unhiss serve running there"):
        call(Client("http://127.0.0.1:9"))
