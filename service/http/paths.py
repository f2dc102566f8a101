"""All routes of an application with their full paths, mounts and included routers unfolded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Scope


@dataclass(frozen=True)
class Found:
    """One route.

    Attributes:
        path: Its template below the application's root.
        route: It.
    """

    path: str
    route: BaseRoute


def all_routes(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[Found]:
    """Yield every route and mount below ``routes``."""
    for route in routes:
        included = getattr(route, "original_router", None)  # an included router keeps its routes to itself
        if included is not None:
            yield from all_routes(included.routes, prefix)
            continue
        found = Found(prefix + str(getattr(route, "path", "")), route)
        yield found
        if isinstance(route, Mount):
            yield from all_routes(route.routes, found.path)


def allowed_methods(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """Return every method that some route takes at the path of a request."""
    methods: set[str] = set()
    for found in all_routes(routes):
        if isinstance(found.route, Route) and found.route.matches(scope)[0] is not Match.NONE:
            methods |= found.route.methods or set()
    return sorted(methods)
