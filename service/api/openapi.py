"""The OpenAPI document: what the framework derives, with one form for every problem and the job spec as published."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from search.spec.job import job_schema
from service import contract

TITLE = "bitbudget"
DESCRIPTION = (
    "Submit studies, watch them, read what they found. Every refusal is `application/problem+json`; its `code` is one "
    "of docs/problems.md. Lists are read with `cursor`. What later versions of `/v1` add never changes what is there."
)
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "login": {"type": "apiKey", "in": "cookie", "name": "bitbudget_session", "description": "The cookie of /login."},
}
_OPEN = frozenset({"/livez", "/readyz"})
_REFERENCE = "#/components/schemas/{model}"
_FRAMEWORK = ("HTTPValidationError", "ValidationError")


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the document; it depends on the program only, never on settings."""
    document = get_openapi(title=TITLE, version="1", description=DESCRIPTION, routes=app.routes)
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FRAMEWORK:
        schemas.pop(name, None)
    problem = TypeAdapter(contract.Problem).json_schema(mode="serialization", ref_template=_REFERENCE)
    schemas.update({**problem.pop("$defs"), "Problem": problem})
    _add(schemas, _job_schemas())
    document["components"]["securitySchemes"] = _SECURITY
    document["security"] = [{"key": []}, {"login": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # covered by 4XX, and the framework's form is not ours
            if path in _OPEN:
                operation["security"] = []
    return document


def _add(schemas: dict[str, Any], more: dict[str, Any]) -> None:
    twice = schemas.keys() & more.keys()
    if twice:
        raise ValueError(f"An answer has the name of a part of the job spec: {sorted(twice)}.")
    schemas.update(more)


def _job_schemas() -> dict[str, Any]:
    """The job spec as components."""
    found = job_schema()
    inner = found.pop("$defs")
    for name in ("$schema", "$id"):
        found.pop(name)
    return {name: _relocated(schema) for name, schema in {**inner, "JobSpec": found}.items()}


def _relocated(value: Any) -> Any:
    """Point references at the components instead of at the schema's own definitions."""
    if isinstance(value, dict):
        return {
            key: f"#/components/schemas/{inner.removeprefix('#/$defs/')}"
            if key == "$ref" and isinstance(inner, str)
            else _relocated(inner)
            for key, inner in value.items()
        }
    return [_relocated(one) for one in value] if isinstance(value, list) else value
