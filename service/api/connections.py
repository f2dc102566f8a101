"""Which connections the administrator has set up: their names, for ``connection://<name>/<path>``."""

from __future__ import annotations

from fastapi import APIRouter

from service import contract
from service.api.documented import PROBLEMS
from service.http.context import PartsDep, Reader

router = APIRouter(prefix="/v1", tags=["connections"], responses=PROBLEMS)


@router.get("/connections", operation_id="list_connections")
def list_connections(parts: PartsDep, _: Reader) -> contract.Items[contract.NamedPlace]:
    """Return the names that a spec may use, without where they lead."""
    found = sorted(parts.settings.connections.items())
    return contract.Items(items=tuple(contract.NamedPlace(name=name, kind=one.kind) for name, one in found))
