"""Python client of the service, blocking (``Client``) and asyncio (``AsyncClient``), from one source.

    with Client("http://127.0.0.1:8000", key) as client:
        study = client.studies.submit({"model": client.blobs.put(path), ...})
        client.studies.wait(study.id)

It imports httpx and nothing of the rest: neither the search nor the server.
"""

from service.client.asynchronous.client import AsyncClient
from service.client.synchronous.client import Client

__all__ = ["AsyncClient", "Client"]
