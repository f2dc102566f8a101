"""Addresses that are told when studies change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from service.contract.constraints import Count, Exactly, Url
from service.contract.message import Answer, Body, Values

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
Kinds = Annotated[tuple[EventKind, ...], Count(max_length=20)]


@dataclass(frozen=True, kw_only=True)
class NewWebhook(Body):
    """Where to send messages; no kinds = all."""

    url: Url
    kinds: Kinds = ()


@dataclass(frozen=True, kw_only=True)
class WebhookChanges(Body):
    """What to change; what is left away or null stays."""

    url: Url | None = None
    kinds: Kinds | None = None
    active: Annotated[bool, Exactly()] | None = None


@dataclass(frozen=True, kw_only=True)
class Webhook(Answer):
    """A webhook, without its secrets."""

    id: str
    url: str
    kinds: tuple[str, ...]
    active: bool
    n_secrets: int
    created: datetime


@dataclass(frozen=True, kw_only=True)
class WebhookOnce(Webhook):
    """A webhook with its newest secret, which is shown only here."""

    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Delivery(Answer):
    """A message: `id` is its `webhook-id`; `due` is the next try of one that is pending."""

    id: str
    kind: str
    payload: Values
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    status: int | None
    error: str | None
    created: datetime
    due: datetime
    finished: datetime | None
