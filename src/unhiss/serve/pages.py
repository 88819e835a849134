"""The two pages that need no build: the reference of the interface, and the word that the page is missing."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_FRAME = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }}
code, pre {{ font-family: ui-monospace, monospace; font-size: .9em }}
pre {{ overflow-x: auto; padding: .6rem; border: 1px solid #8886; border-radius: .3rem }}
td, th {{ text-align: left; vertical-align: top; padding: .15rem .8rem .15rem 0 }}
</style><h1>{title}</h1>{body}</html>"""
MISSING = _FRAME.format(
    title="unhiss",
    body="<p>This server runs, but its page is not built. In a checkout, <code>make web</code> builds it; then start "
    'the server again.</p><p>The interface works without it: <a href="docs">reference</a>, '
    '<a href="openapi.json">openapi.json</a>.</p>',
)


def reference(document: dict[str, Any]) -> str:
    """An OpenAPI document as a page of HTML that loads nothing from anywhere."""
    parts = [f"<p>{escape(document['info']['description'])} <a href='openapi.json'>openapi.json</a></p>"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2><code>{method.upper()} {path}</code></h2><p>{escape(operation['summary'])}</p>")
            if "description" in operation:
                parts.append(f"<p>{escape(operation['description'])}</p>")
            if operation.get("parameters"):
                parts.append(_table(("query", "", "example"), [
                    (item["name"], item["description"], item["example"]) for item in operation["parameters"]
                ]))  # fmt: skip
            parts.append(_table(("answer", ""), [(c, r["description"]) for c, r in operation["responses"].items()]))
            if path == "/v1/denoise":
                parts.append(
                    "<pre>curl -F file=@noisy.wav 'http://127.0.0.1:8000/v1/denoise?format=wav' -o clean.wav</pre>"
                )
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h2>{name}</h2><pre>{escape(json.dumps(schema['example'], indent=2))}</pre>")
    return _FRAME.format(title="unhiss: the interface", body="".join(parts))


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"
