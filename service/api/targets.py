"""Chips that a study can be for, and the schemas of what is sent and delivered."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from search.spec.job import job_schema
from search.targets.document import read_document, target_names
from service import contract
from service.api.documented import PROBLEMS
from service.http.context import Reader
from service.problems import not_found

router = APIRouter(prefix="/v1", tags=["targets"], responses=PROBLEMS)


@router.get("/targets", operation_id="list_targets")
def list_targets(_: Reader) -> contract.Page[contract.TargetLine]:
    """Return all chips."""
    return contract.Page(items=tuple(_line(name, read_document(name)) for name in target_names()), next=None)


@router.get("/targets/{name}", operation_id="get_target")
def get_target(_: Reader, name: str) -> contract.TargetRules:
    """Return a chip with its rules and coefficients."""
    if name not in target_names():  # never a path
        raise not_found("target")
    document = read_document(name)
    return contract.shaped(contract.TargetRules, _line(name, document), document=document)


@router.get("/schemas/job", operation_id="get_job_schema", tags=["schemas"])
def get_job_schema(_: Reader) -> dict[str, Any]:
    """Return the JSON Schema of the job spec: of the body of POST /v1/studies and of the command line's files."""
    return job_schema()


def _line(name: str, document: dict[str, Any]) -> contract.TargetLine:
    return contract.TargetLine(
        name=name,
        title=str(document.get("title", "")),
        march=document.get("march"),
        toolchain_default=document.get("toolchain_default"),
    )
