"""The committed OpenAPI document is what the server serves, and its parts are what is published elsewhere."""

import json
from pathlib import Path

from search.spec.job import job_schema
from service.api.openapi import openapi_document
from service.http.gate import PUBLIC
from service.http.paths import all_routes
from tests.service.api.serving import Server

ROOT = Path(__file__).parents[3]
SNAPSHOT = ROOT / "docs" / "openapi.json"
HINT = "The interface changed. Look at the difference, then run: python -m service.api.snapshot docs/openapi.json"


def test_the_snapshot_is_current(server: Server) -> None:
    assert json.loads(SNAPSHOT.read_text()) == openapi_document(server.app), HINT


def test_the_server_serves_it(server: Server) -> None:
    assert server.client().get("/openapi.json").json() == json.loads(SNAPSHOT.read_text())


def test_every_route_of_the_interface_is_in_it(server: Server) -> None:
    paths = json.loads(SNAPSHOT.read_text())["paths"]
    for found in all_routes(server.app.routes):
        if found.path.startswith("/v1"):
            assert found.path.replace(":path", "") in paths, found.path


def test_every_operation_has_a_name_a_text_and_problems() -> None:
    document = json.loads(SNAPSHOT.read_text())
    names = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            names.append(operation["operationId"])
            assert operation["description"]
            assert "application/problem+json" in operation["responses"]["4XX"]["content"]
            assert "422" not in operation["responses"]
            assert ("security" in operation) == (path in PUBLIC)
    assert len(names) == len(set(names))
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_job_spec_in_it_is_the_published_schema(server: Server) -> None:
    published = job_schema()
    assert server.client().get("/v1/schemas/job").json() == published
    schemas = json.loads(SNAPSHOT.read_text())["components"]["schemas"]
    assert set(published["$defs"]) | {"JobSpec"} <= set(schemas)
    assert set(schemas["JobSpec"]["properties"]) == set(published["properties"])
    assert "$defs" not in json.dumps(schemas)
