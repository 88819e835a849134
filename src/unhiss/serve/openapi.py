"""The OpenAPI document of a server, for GET /openapi.json, and as an HTML page for GET /docs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from unhiss import __version__
from unhiss.media.source import READABLE
from unhiss.serve.service import Service
from unhiss.serve.worker import FORMATS

Json = dict[str, Any]

_STREAM = """Live audio over a WebSocket: `WS /v1/stream`.

The first message is JSON, such as `{"type": "start", "rate": 48000, "channels": 1, "format": "float32"}`; the reply
is `{"type": "ready", "latency": {"samples": 1536, "ms": 32.0}, ...}`. Then the server returns as many samples as it
receives, in binary messages of interleaved little-endian samples, delayed by `latency`. `{"type": "set",
"atten_limit_db": 12, "mix": 0.9, "bypass": false}` changes settings, `{"type": "flush"}` returns the remaining samples,
`{"type": "save"}` returns a state from which another stream can continue. Without an upgrade, the status is 426."""
_ERRORS = {
    "400": "an invalid value, form or request",
    "401": "no token, or a wrong one",
    "404": "no such model",
    "406": "no accepted format",
    "408": "the upload was too slow",
    "413": "too many bytes, or too long a recording",
    "422": "not a readable recording",
    "426": "a WebSocket; upgrade",
    "429": "too many requests of this client at a time",
    "503": "too many requests at a time, or the server is shutting down",
    "507": "no space on the server's disk",
}


def openapi_document(service: Service) -> Json:
    """The OpenAPI 3.1 document of a server with these models and limits."""
    models = {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
    health = _object({
        "status": {"enum": ["ok", "draining"]},
        "streams": {"type": "integer", "minimum": 0},
        "files": {"type": "integer", "minimum": 0},
    })  # fmt: skip
    operations = {
        "/v1/denoise": {"post": _denoise(service)},
        "/v1/stream": {"get": _operation("stream", "Live audio (WebSocket)", None, _STREAM, "101", "426")},
        "/v1/models": {"get": _operation("models", "List the models", _object({"models": models}))},
        "/healthz": {"get": _operation("healthz", "Whether the server is running", health)},
        "/metrics": {"get": _operation("metrics", "Metrics for Prometheus", None)},
    }
    operations["/healthz"]["get"]["responses"]["503"] = operations["/healthz"]["get"]["responses"]["200"]
    metrics = operations["/metrics"]["get"]["responses"]["200"]
    metrics["content"] = {"text/plain": {"schema": {"type": "string"}}}
    schemes = {}
    if service.config.token:
        schemes = {"token": {"type": "http", "scheme": "bearer"}}
        for path, method in (("/v1/denoise", "post"), ("/v1/models", "get"), ("/metrics", "get")):
            operation = operations[path][method]
            operation["security"] = [{"token": []}]
            operation["responses"] |= _errors("401")
    return {
        "openapi": "3.1.0",
        "info": {"title": "unhiss", "version": __version__, "description": "Removes noise from speech."},
        "paths": operations,
        "components": {"schemas": {"Error": _ERROR, "Model": _MODEL}, "securitySchemes": schemes},
    }


def _object(properties: Json, optional: Iterable[str] = (), **more: Any) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties, **more}


_ERROR = _object(
    {"error": _object({"status": {"type": "integer"}, "message": {"type": "string"}})},
    example={"error": {"status": 400, "message": "mix = 2.0; expected 0 (the input) to 1 (fully denoised)"}},
)
_MODEL = _object(
    {
        "name": {"type": "string"},
        "default": {"type": "boolean"},
        "live": {"type": "boolean", "description": "whether /v1/stream accepts it"},
        "latency_ms": {"type": "number"},
        "summary": {"type": "string"},
        "licence": {"type": "string"},
    },
    optional=("summary", "licence"),
    example={"name": "small", "default": True, "live": True, "latency_ms": 32.0},
)


def _errors(*codes: str) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {code: {"description": _ERRORS[code], "content": content} for code in codes}


def _operation(name: str, summary: str, schema: Json | None, text: str = "", ok: str = "200", *errors: str) -> Json:
    response: Json = {"description": summary}
    if schema:
        response["content"] = {"application/json": {"schema": schema}}
    description = {"description": text} if text else {}
    return {"operationId": name, "summary": summary, **description, "responses": {ok: response, **_errors(*errors)}}


def _denoise(service: Service) -> Json:
    binary = {"type": "string", "format": "binary"}
    parameters = [
        _parameter("model", {"type": "string", "enum": sorted(service.model_paths)}, "the model", service.default),
        _parameter("atten_limit_db", {"type": "number", "minimum": 0, "maximum": 1000}, "attenuation limit in dB", 12),
        _parameter("mix", {"type": "number", "minimum": 0, "maximum": 1}, "1 is fully denoised, 0 the input", 1),
        _parameter("guard", {"type": "boolean"}, "leave clean speech unchanged", True),
        _parameter("format", {"type": "string", "enum": list(FORMATS)}, "output; default: by Accept, else wav", "wav"),
    ]
    fields = {"file": binary, **{parameter["name"]: parameter["schema"] for parameter in parameters}}
    form = _object(fields, optional=set(fields) - {"file"}, additionalProperties=False)
    text = "wav, pcm16 and float32 are sent while they are written, flac, ogg, opus and mp3 when they are complete"
    ok = {
        "description": f"the denoised recording; {text}",
        "content": {media_type: {"schema": binary} for media_type in FORMATS.values()},
    }
    return {
        "operationId": "denoise",
        "summary": "Denoise a recording",
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "description": "a recording as the body, or as the field file of a form; of any format that unhiss reads: "
            + ", ".join(sorted(suffix[1:] for suffix in READABLE)),
            "content": {"application/octet-stream": {"schema": binary}, "multipart/form-data": {"schema": form}},
        },
        "responses": {"200": ok, **_errors("400", "404", "406", "408", "413", "422", "429", "503", "507")},
    }


def _parameter(name: str, schema: Json, text: str, example: object) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": text, "example": example}


def html_page(title: str, body: str) -> str:
    """A page that loads nothing from elsewhere."""
    style = "body { font: 16px/1.5 system-ui; max-width: 46rem; margin: 2rem auto; color-scheme: light dark }"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html><html lang="en">{head}<style>{style}</style><h1>{title}</h1>{body}</html>'


def html_reference(document: Json) -> str:
    """The API reference of an OpenAPI document as HTML."""
    parts = [f"<p>{escape(document['info']['description'])} <a href='openapi.json'>openapi.json</a></p>"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2><code>{method.upper()} {path}</code></h2><p>{escape(operation['summary'])}</p>")
            parts.append(f"<p>{escape(operation.get('description', ''))}</p>")
            lines = []
            for item in operation.get("parameters", ()):
                lines.append(f"?{item['name']}={str(item['example']).lower()}: {item['description']}")
            lines += [f"{code}: {response['description']}" for code, response in operation["responses"].items()]
            parts.append(f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")
    parts.append("<pre>curl -F file=@noisy.wav 'http://127.0.0.1:8000/v1/denoise?format=wav' -o clean.wav</pre>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h2>{name}</h2><pre>{escape(json.dumps(schema['example'], indent=2))}</pre>")
    return html_page("unhiss API", "".join(parts))
