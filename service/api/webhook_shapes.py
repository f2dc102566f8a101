"""The bodies of the routes for webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints

from service.api.shapes import Body, Shape

Url = Annotated[str, StringConstraints(min_length=9, max_length=2000, pattern=r"^https?://[!-~]+$")]
EventKind: TypeAlias = Literal[
    "study.queued",
    "study.running",
    "study.paused",
    "study.succeeded",
    "study.failed",
    "study.cancelling",
    "study.cancelled",
    "study.deleted",
    "storage.quota",
    "webhook.test",
]
Kinds = Annotated[list[EventKind], Field(max_length=20)]


class NewWebhook(Body):
    """Where to send messages; no kinds = all."""

    url: Url
    kinds: Kinds = Field(default_factory=list)


class WebhookChanges(Body):
    """What to change; what is left away or null stays."""

    url: Url | None = None
    kinds: Kinds | None = None
    active: bool | None = None


class WebhookShape(Shape):
    """A webhook, without its secrets."""

    id: str
    url: str
    kinds: list[str]
    active: bool
    n_secrets: int
    created: datetime


class WebhookOnce(WebhookShape):
    """A webhook with its newest secret, which is shown only here."""

    secret: str


class Webhooks(Shape):
    """All webhooks of the tenant."""

    items: list[WebhookShape]


class DeliveryShape(Shape):
    """A message: `id` is its `webhook-id`; `due` is the next try of one that is pending."""

    id: str
    kind: str
    payload: dict[str, Any]
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    status: int | None
    error: str | None
    created: datetime
    due: datetime
    finished: datetime | None
