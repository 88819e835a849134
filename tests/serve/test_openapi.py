"""schemathesis sends valid and invalid requests of the OpenAPI document to a server and checks the responses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from serving import RunningServer, request, serving

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # warnings of packages that schemathesis uses
@pytest.mark.parametrize("examples", [8, pytest.param(200, marks=pytest.mark.soak)])
def test_every_response_is_as_documented(examples: int, leveller: Path) -> None:
    with serving(leveller, max_files=50, max_files_per_client=50) as server:
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        requested: list[str] = []
        for result in schema.get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr]

            @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @seed(1)
            @given(case=operation.as_strategy())
            def send(case: schemathesis.Case) -> None:
                case.call_and_validate(checks=CHECKS)
                requested.append(case.path)

            send()
        assert {path: requested.count(path) > 0 for path in requested} == dict.fromkeys(
            schema.raw_schema["paths"], True
        )
        assert requested.count("/v1/denoise") >= examples


def test_every_example_of_the_document_fits_its_schema(server: RunningServer) -> None:
    from jsonschema_rs import validator_for

    document = json.loads(request(server, "GET", "/openapi.json")[2])
    schemas = document["components"]["schemas"]
    assert schemas
    for schema in schemas.values():
        assert validator_for(schema).is_valid(schema["example"])
