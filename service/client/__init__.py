"""Python client of the service, asyncio (``AsyncClient``) and blocking (``Client``), which runs the former.

    with Client("http://127.0.0.1:8000", key) as client:
        study = client.studies.submit({"model": client.blobs.put(path), ...})
        client.studies.wait(study.id)

It imports httpx, the contract with the server and the records in it, and nothing of the rest: neither the search nor
the server.
"""

from service.client.client import AsyncClient
from service.client.synchronous import Client

__all__ = ["AsyncClient", "Client"]
