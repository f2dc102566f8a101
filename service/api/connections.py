"""Which connections the administrator has set up: their names, for ``connection://<name>/<path>``."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from service.api.documented import PROBLEMS
from service.api.shapes import Shape
from service.http.context import PartsDep, Reader

router = APIRouter(prefix="/v1", tags=["connections"], responses=PROBLEMS)


class ConnectionShape(Shape):
    """A place that studies may read from."""

    name: str
    kind: Literal["local", "s3"]


class Connections(Shape):
    """All connections."""

    items: list[ConnectionShape]


@router.get("/connections", operation_id="list_connections")
def list_connections(parts: PartsDep, _: Reader) -> Connections:
    """Return the names that a spec may use, without where they lead."""
    found = sorted(parts.settings.connections.items())
    return Connections(items=[ConnectionShape(name=name, kind=one.kind) for name, one in found])
