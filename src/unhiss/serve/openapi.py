"""The OpenAPI document of a server, for GET /openapi.json, and as an HTML page for GET /docs.

openapi.json beside this module is the document without what depends on the server or stands elsewhere in the code.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from unhiss import __version__
from unhiss.media.source import READABLE
from unhiss.serve.service import Service
from unhiss.serve.worker import FORMATS

Json = dict[str, Any]

TEMPLATE = Path(__file__).parent / "openapi.json"


def openapi_document(service: Service) -> Json:
    """The OpenAPI 3.1 document of a server with these models and limits."""
    document: Json = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    document["info"]["version"] = __version__
    paths = document["paths"]
    _complete_denoise(paths["/v1/denoise"]["post"], service)
    health = paths["/healthz"]["get"]["responses"]
    health["503"] = health["200"]
    if not service.config.token:
        document["components"]["securitySchemes"] = {}
    error_content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for operation in (operation for operations in paths.values() for operation in operations.values()):
        if not service.config.token and operation.pop("security", None):
            del operation["responses"]["401"]
        for code, response in operation["responses"].items():
            if code >= "400":
                response.setdefault("content", error_content)
    return document


def _complete_denoise(operation: Json, service: Service) -> None:
    """Fill in the names of models and formats."""
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    parameters["model"]["schema"]["enum"], parameters["model"]["example"] = sorted(service.model_paths), service.default
    parameters["format"]["schema"]["enum"] = list(FORMATS)
    body = operation["requestBody"]
    body["description"] += ": " + ", ".join(sorted(suffix[1:] for suffix in READABLE))
    form = body["content"]["multipart/form-data"]["schema"]["properties"]
    form |= {name: parameter["schema"] for name, parameter in parameters.items()}
    content = body["content"]["application/octet-stream"]
    operation["responses"]["200"]["content"] = dict.fromkeys(FORMATS.values(), content)


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
            lines = [
                f"?{item['name']}={str(item['example']).lower()}: {item['description']}"
                for item in operation.get("parameters", ())
            ]
            lines += [f"{code}: {response['description']}" for code, response in operation["responses"].items()]
            parts.append(f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")
    parts.append("<pre>curl -F file=@noisy.wav 'http://127.0.0.1:8000/v1/denoise?format=wav' -o clean.wav</pre>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h2>{name}</h2><pre>{escape(json.dumps(schema['example'], indent=2))}</pre>")
    return html_page("unhiss API", "".join(parts))
