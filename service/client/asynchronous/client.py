"""The client: one connection, and the resources of the server on it."""

from __future__ import annotations

from types import TracebackType

import httpx

from service.client.asynchronous.blobs import AsyncBlobs, AsyncCollections
from service.client.asynchronous.connection import AsyncConnection
from service.client.asynchronous.server import AsyncKeys, AsyncServer
from service.client.asynchronous.studies import AsyncStudies
from service.client.asynchronous.webhooks import AsyncWebhooks
from service.client.retries import Retries

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
    ) -> None:
        """Prepare to ask a server; nothing is sent yet.

        Args:
            url: Its address, as ``http://127.0.0.1:8000``, with the prefix of a proxy if there is one.
            key: API key; None for a server without authentication.
            timeout_s: Longest wait for an answer, and for each part of an upload.
            retries: How long to send a request again that was not answered.
            ca_bundle: File of certificates to trust instead of the public ones.
            transport: Another way to send requests, for tests.
        """
        headers = {"User-Agent": AGENT, "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers=headers,
            timeout=timeout_s,
            transport=transport,
            verify=httpx.create_ssl_context(verify=ca_bundle) if ca_bundle else True,
        )
        connection = AsyncConnection(self._http, retries or Retries())
        self.studies = AsyncStudies(connection)
        self.blobs = AsyncBlobs(connection)
        self.models = AsyncCollections(connection, "models")
        self.datasets = AsyncCollections(connection, "datasets")
        self.server = AsyncServer(connection)
        self.keys = AsyncKeys(connection)
        self.webhooks = AsyncWebhooks(connection)

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
