"""The blocking client: which methods of the asyncio one its parts have; a test looks that none is missing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec

from service.client.blobs import AsyncBlobs
from service.client.blocking import PortalOfProcess, Resource, blocking
from service.client.client import AsyncClient
from service.client.operator import AsyncOperator
from service.client.server import AsyncKeys, AsyncServer
from service.client.studies import AsyncStudies
from service.client.uploads import AsyncDatasets, AsyncModels
from service.client.webhooks import AsyncWebhooks

P = ParamSpec("P")


class Studies(Resource[AsyncStudies]):
    """Submit, watch, steer and read studies."""

    submit = blocking(AsyncStudies.submit)
    estimate = blocking(AsyncStudies.estimate)
    list = blocking(AsyncStudies.list)
    get = blocking(AsyncStudies.get)
    change = blocking(AsyncStudies.change)
    cancel = blocking(AsyncStudies.cancel)
    pause = blocking(AsyncStudies.pause)
    resume = blocking(AsyncStudies.resume)
    delete = blocking(AsyncStudies.delete)
    trials = blocking(AsyncStudies.trials)
    trial = blocking(AsyncStudies.trial)
    groups = blocking(AsyncStudies.groups)
    front = blocking(AsyncStudies.front)
    sensitivity = blocking(AsyncStudies.sensitivity)
    layers = blocking(AsyncStudies.layers)
    findings = blocking(AsyncStudies.findings)
    events = blocking(AsyncStudies.events)
    wait = blocking(AsyncStudies.wait)
    artifacts = blocking(AsyncStudies.artifacts)
    artifact_size = blocking(AsyncStudies.artifact_size)
    download = blocking(AsyncStudies.download)


class Blobs(Resource[AsyncBlobs]):
    """Upload and fetch bytes by their SHA-256."""

    has = blocking(AsyncBlobs.has)
    put = blocking(AsyncBlobs.put)
    send = blocking(AsyncBlobs.send)
    get = blocking(AsyncBlobs.get)


class Models(Resource[AsyncModels]):
    """Models, with external data where they have any."""

    create = blocking(AsyncModels.create)
    upload = blocking(AsyncModels.upload)
    list = blocking(AsyncModels.list)
    get = blocking(AsyncModels.get)
    pin = blocking(AsyncModels.pin)
    delete = blocking(AsyncModels.delete)


class Datasets(Resource[AsyncDatasets]):
    """Data sets of many files."""

    create = blocking(AsyncDatasets.create)
    upload = blocking(AsyncDatasets.upload)
    list = blocking(AsyncDatasets.list)
    get = blocking(AsyncDatasets.get)
    pin = blocking(AsyncDatasets.pin)
    delete = blocking(AsyncDatasets.delete)


class Server(Resource[AsyncServer]):
    """The server itself."""

    live = blocking(AsyncServer.live)
    ready = blocking(AsyncServer.ready)
    version = blocking(AsyncServer.version)
    metrics = blocking(AsyncServer.metrics)
    limits = blocking(AsyncServer.limits)
    status = blocking(AsyncServer.status)
    job_schema = blocking(AsyncServer.job_schema)
    targets = blocking(AsyncServer.targets)
    target = blocking(AsyncServer.target)
    connections = blocking(AsyncServer.connections)
    audit = blocking(AsyncServer.audit)


class Keys(Resource[AsyncKeys]):
    """API keys of the tenant; administrators only."""

    create = blocking(AsyncKeys.create)
    list = blocking(AsyncKeys.list)
    get = blocking(AsyncKeys.get)
    revoke = blocking(AsyncKeys.revoke)


class Webhooks(Resource[AsyncWebhooks]):
    """Addresses that are told when studies change; administrators only."""

    create = blocking(AsyncWebhooks.create)
    list = blocking(AsyncWebhooks.list)
    get = blocking(AsyncWebhooks.get)
    change = blocking(AsyncWebhooks.change)
    delete = blocking(AsyncWebhooks.delete)
    rotate_secret = blocking(AsyncWebhooks.rotate_secret)
    retire_secret = blocking(AsyncWebhooks.retire_secret)
    test = blocking(AsyncWebhooks.test)
    deliveries = blocking(AsyncWebhooks.deliveries)
    redeliver = blocking(AsyncWebhooks.redeliver)


class Operator(Resource[AsyncOperator]):
    """The server with all its tenants, for its operator."""

    workers = blocking(AsyncOperator.workers)
    tenants = blocking(AsyncOperator.tenants)
    change_tenant = blocking(AsyncOperator.change_tenant)
    create_key = blocking(AsyncOperator.create_key)
    audit = blocking(AsyncOperator.audit)


def _as_asynchronous(
    asynchronous: Callable[Concatenate[AsyncClient, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Client, P], None]]:
    """Give a constructor the parameters and the text of the asyncio client's."""

    def named(constructor: Callable[..., None]) -> Callable[Concatenate[Client, P], None]:
        return functools.wraps(asynchronous)(constructor)

    return named


class Client:
    """A server of bitbudget, for programs without asyncio; made like ``AsyncClient``, and with the same parts.

    It may be used by several threads. ``watch`` of ``studies.wait`` runs in a thread and may use the client.
    """

    @_as_asynchronous(AsyncClient.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        portals = PortalOfProcess(functools.partial(AsyncClient, *args, calls_in_threads=True, **kwargs))
        self._portals = portals
        self.studies = Studies(portals, lambda client: client.studies)
        self.blobs = Blobs(portals, lambda client: client.blobs)
        self.models = Models(portals, lambda client: client.models)
        self.datasets = Datasets(portals, lambda client: client.datasets)
        self.server = Server(portals, lambda client: client.server)
        self.keys = Keys(portals, lambda client: client.keys)
        self.webhooks = Webhooks(portals, lambda client: client.webhooks)
        self.operator = Operator(portals, lambda client: client.operator)

    def __enter__(self) -> Client:
        """Return the client, closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._portals.close()
