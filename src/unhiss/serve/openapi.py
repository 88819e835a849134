"""GET /openapi.json: what the server answers to, with examples. A test holds every answer against it (schemathesis)."""

from __future__ import annotations

from typing import Any

from unhiss import __version__
from unhiss.serve.service import Service
from unhiss.serve.work import FORMATS

STREAM = """Live sound over a WebSocket: `WS /v1/stream`.

The first message is JSON, such as `{"type": "hello", "rate": 48000, "channels": 1, "format": "float32"}`; the answer
is `{"type": "ready", "latency": {"samples": 1536, "ms": 32.0}, ...}`. From then on binary messages of interleaved
little-endian samples are answered by as many samples, `latency` later; `{"type": "set", "atten_lim": 12, "mix": 0.9,
"bypass": false}` changes what is set, `{"type": "flush"}` asks for the rest, `{"type": "save"}` for a state that
the hello of another stream goes on from. Without an upgrade, this answers 426."""


def document(service: Service) -> dict[str, Any]:
    """The whole OpenAPI 3.1 document of a server with these models and limits."""
    paths = {
        "/v1/denoise": {"post": _denoise(service)},
        "/v1/stream": {"get": _stream()},
        "/v1/models": {"get": _models(service)},
        "/healthz": {"get": _plain("healthz", "Whether the server is there", _HEALTH, status=("200", "503"))},
        "/metrics": {"get": _secured(_metrics(), service)},
    }
    schemes = {"token": {"type": "http", "scheme": "bearer"}} if service.settings.token else {}
    schemas = {"Error": _ERROR, "Model": _MODEL}
    return {
        "openapi": "3.1.0",
        "info": {"title": "unhiss", "version": __version__, "description": "Takes the noise out of speech."},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
    }


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
        }
    },
    "example": {"error": {"status": 400, "message": "mix = 2.0; expected 0 (the input) to 1 (all clean)"}},
}
_MODEL = {
    "type": "object",
    "required": ["name", "default", "live", "latency_ms"],
    "properties": {
        "name": {"type": "string"},
        "default": {"type": "boolean"},
        "live": {"type": "boolean", "description": "whether /v1/stream takes it"},
        "latency_ms": {"type": "number"},
        "summary": {"type": "string"},
        "licence": {"type": "string"},
    },
    "example": {"name": "small", "default": True, "live": True, "latency_ms": 32.0},
}
_HEALTH = {
    "type": "object",
    "required": ["status", "streams", "files"],
    "properties": {
        "status": {"enum": ["ok", "draining"]},
        "streams": {"type": "integer", "minimum": 0},
        "files": {"type": "integer", "minimum": 0},
    },
    "example": {"status": "ok", "streams": 3, "files": 0},
}
_WHY = {
    "400": "a value, a form or a request that cannot be",
    "401": "no token, or a wrong one",
    "404": "no such model",
    "406": "no format that is accepted",
    "408": "the upload came too slowly",
    "413": "too many bytes, or too long a recording",
    "422": "no recording that can be read",
    "426": "this is a WebSocket; upgrade",
    "429": "too many at a time of this client",
    "503": "too many at a time of all clients, or the server is about to end",
    "507": "no room on the server's disk",
}


def _refusals(*codes: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {code: {"description": _WHY[code], "content": {"application/json": schema}} for code in codes}


def _secured(operation: dict[str, Any], service: Service) -> dict[str, Any]:
    if service.settings.token:
        operation["security"] = [{"token": []}]
        operation["responses"] |= _refusals("401")
    return operation


def _denoise(service: Service) -> dict[str, Any]:
    number = {"type": "number"}
    query = [
        _query("model", {"type": "string", "enum": sorted(service.files_of)}, "the model", service.default),
        _query("atten_lim", {**number, "minimum": 0, "maximum": 1000}, "take out at most so many dB", 12),
        _query("mix", {**number, "minimum": 0, "maximum": 1}, "1 is the clean sound, 0 the input", 1),
        _query("guard", {"type": "boolean"}, "leave clean speech alone", True),
        _query("format", {"type": "string", "enum": list(FORMATS)}, "of the answer; else by Accept, else wav", "wav"),
    ]
    bytes_ = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}, **{q["name"]: q["schema"] for q in query}},
        "additionalProperties": False,
    }
    body = {
        "required": True,
        "description": "a recording in any format that unhiss reads, as it is or as the field file of a form",
        "content": {"application/octet-stream": bytes_, "multipart/form-data": {"schema": form}},
    }
    kinds = dict.fromkeys(dict.fromkeys(FORMATS.values()), bytes_)
    text = "wav, pcm16 and float32 are sent while they are made, flac, ogg, opus and mp3 once they are whole"
    operation = {
        "operationId": "denoise",
        "summary": "Take the noise out of a recording",
        "parameters": query,
        "requestBody": body,
        "responses": {"200": {"description": f"the clean recording; {text}", "content": kinds}}
        | _refusals("400", "404", "406", "408", "413", "422", "429", "503", "507"),
    }
    return _secured(operation, service)


def _query(name: str, schema: dict[str, Any], text: str, example: object) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text, "example": example}


def _stream() -> dict[str, Any]:
    return {
        "operationId": "stream",
        "summary": "Live sound (WebSocket)",
        "description": STREAM,
        "responses": {"101": {"description": "the WebSocket is open"}, **_refusals("426")},
    }


def _models(service: Service) -> dict[str, Any]:
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
    content = {"type": "object", "required": ["models"], "properties": {"models": listed}}
    return _secured(_plain("models", "The models that can be asked for", content), service)


def _plain(name: str, summary: str, schema: dict[str, Any], status: tuple[str, ...] = ("200",)) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    responses = {code: {"description": summary, "content": content} for code in status}
    return {"operationId": name, "summary": summary, "responses": responses}


def _metrics() -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "metrics",
        "summary": "Counters for Prometheus",
        "responses": {"200": {"description": "Prometheus text", "content": content}},
    }
