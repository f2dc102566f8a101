"""The client: one connection, and the resources of the server on it."""

from __future__ import annotations

import ssl
from types import TracebackType

import httpx

from service.client.blobs import AsyncBlobs
from service.client.connection import AsyncConnection
from service.client.operator import AsyncOperator
from service.client.retries import Retries
from service.client.server import AsyncKeys, AsyncServer
from service.client.studies import AsyncStudies
from service.client.uploads import AsyncDatasets, AsyncModels
from service.client.webhooks import AsyncWebhooks

AGENT = "bitbudget-client"


class AsyncClient:
    """A server of bitbudget.

    Attributes:
        studies: Submit, watch, steer and read studies.
        blobs: Upload and fetch bytes.
        models: Models, with external data where they have any.
        datasets: Data sets of many files.
        server: The server itself.
        keys: API keys.
        webhooks: Addresses that are told when studies change.
        operator: The server with all its tenants, for its operator.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        ca_bundle: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        calls_in_threads: bool = False,
    ) -> None:
        """Prepare to ask a server; nothing is sent yet.

        Args:
            url: Its address, as ``http://127.0.0.1:8000``, with the prefix of a proxy if there is one.
            key: API key; None for a server without authentication.
            timeout_s: Longest wait for an answer, and for each part of an upload.
            retries: How long to send a request again that was not answered.
            ca_bundle: File of certificates to trust instead of the public ones.
            transport: Another way to send requests, for tests.
            calls_in_threads: Whether ``watch`` of ``studies.wait`` is called in a thread instead of in the event loop.
        """
        headers = {"User-Agent": AGENT, "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers=headers,
            timeout=timeout_s,
            transport=transport,
            verify=ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True,
        )
        connection = AsyncConnection(self._http, retries or Retries(), calls_in_threads=calls_in_threads)
        self.studies = AsyncStudies(connection)
        self.blobs = AsyncBlobs(connection)
        self.models = AsyncModels(connection)
        self.datasets = AsyncDatasets(connection)
        self.server = AsyncServer(connection)
        self.keys = AsyncKeys(connection)
        self.webhooks = AsyncWebhooks(connection)
        self.operator = AsyncOperator(connection)

    async def __aenter__(self) -> AsyncClient:
        """Return the client, closed at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()
