"""What OpenAPI says of every route besides its success."""

from __future__ import annotations

from typing import Any

Responses = dict[int | str, dict[str, Any]]
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": _PROBLEM}


def created(status: int, parameter: str, *operations: str) -> Responses:
    """Say where what was created can be found: links from its id to operations on it."""
    links = {name: {"operationId": name, "parameters": {parameter: "$response.body#/id"}} for name in operations}
    return {status: {"description": "It was made.", "links": links}}


PROBLEMS: Responses = {
    "4XX": _problem("The request cannot be served; `code` says why (docs/problems.md)."),
    "5XX": _problem("The server cannot answer now."),
}
