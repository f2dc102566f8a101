"""What server and client say to each other: every answer and every body once, as dataclasses.

The server makes its answers, its checks and its OpenAPI document of them; the client reads and writes the same. It
needs the standard library and ``search.records`` only.
"""

from service.contract.accounts import AuditEntry, Key, KeyOnce, NewKey, Scope
from service.contract.constraints import Name
from service.contract.message import Answer, Body, Found, Items, Page, Values
from service.contract.operator import ServerAuditEntry, Tenant, TenantLimits
from service.contract.reading import page, read, shaped, shaped_each
from service.contract.results import (
    Artifact,
    Event,
    Events,
    Finding,
    FrontPoint,
    Group,
    Rows,
    Trial,
    TrialLine,
)
from service.contract.server import Health, Limits, NamedPlace, Problem, Readiness, Status, Version, Worker
from service.contract.studies import DryRun, Estimate, Interval, State, Study, StudyChanges, StudyError, StudyLine
from service.contract.targets import TargetLine, TargetRules
from service.contract.uploads import Blob, Dataset, Model, NewDataset, NewModel, Pinned, Upload
from service.contract.webhooks import Delivery, EventKind, NewWebhook, Webhook, WebhookChanges, WebhookOnce

__all__ = [
    "Answer",
    "Artifact",
    "AuditEntry",
    "Blob",
    "Body",
    "Dataset",
    "Delivery",
    "DryRun",
    "Estimate",
    "Event",
    "EventKind",
    "Events",
    "Finding",
    "Found",
    "FrontPoint",
    "Group",
    "Health",
    "Interval",
    "Items",
    "Key",
    "KeyOnce",
    "Limits",
    "Model",
    "Name",
    "NamedPlace",
    "NewDataset",
    "NewKey",
    "NewModel",
    "NewWebhook",
    "Page",
    "Pinned",
    "Problem",
    "Readiness",
    "Rows",
    "Scope",
    "ServerAuditEntry",
    "State",
    "Status",
    "Study",
    "StudyChanges",
    "StudyError",
    "StudyLine",
    "TargetLine",
    "TargetRules",
    "Tenant",
    "TenantLimits",
    "Trial",
    "TrialLine",
    "Upload",
    "Values",
    "Version",
    "Webhook",
    "WebhookChanges",
    "WebhookOnce",
    "Worker",
    "page",
    "read",
    "shaped",
    "shaped_each",
]
