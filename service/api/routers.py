"""The routers of the interface."""

from __future__ import annotations

from service.api import (
    blobs,
    collections,
    connections,
    events,
    health,
    keys,
    operator,
    studies,
    study_data,
    targets,
    webhooks,
)

ROUTERS = (
    health.router,
    blobs.router,
    collections.router,
    targets.router,
    studies.router,
    study_data.router,
    events.router,
    keys.router,
    webhooks.router,
    connections.router,
    operator.router,
)
"""All routers of the interface, in the order of the document."""
