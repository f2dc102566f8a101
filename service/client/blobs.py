"""Uploading and fetching bytes by their SHA-256."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from service.client.connection import AsyncConnection
from service.client.errors import DamagedDownloadError, NotFoundError
from service.client.files import BLOCK, Receiving, file_digest
from service.contract import Blob, read

DOWNLOAD_READ_S = 60.0


class AsyncBlobs:
    """Bytes by their SHA-256."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def has(self, digest: str) -> bool:
        """Whether the tenant has these bytes; they are then kept for another while."""
        try:
            await self._connection.ask("HEAD", f"/v1/blobs/{digest}")
        except NotFoundError:
            return False
        return True

    async def put(self, path: Path | str) -> str:
        """Upload a file unless it is there; return how a spec names it, ``sha256:<hex>``.

        Raises:
            OSError: If it cannot be read.
        """
        source = Path(path)
        digest = await asyncio.to_thread(file_digest, source)
        if not await self.has(digest):
            await self.send(source, digest)
        return f"sha256:{digest}"

    async def send(self, path: Path, digest: str) -> Blob:
        """Upload a file whose digest is known, without asking first."""

        async def body() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while data := await asyncio.to_thread(file.read, BLOCK):
                    yield data

        size = (await asyncio.to_thread(path.stat)).st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        found = await self._connection.ask("PUT", f"/v1/blobs/{digest}", headers=headers, body=body)
        return read(Blob, found.json())

    async def get(self, digest: str, target: Path | str) -> Path:
        """Download bytes into a file; it is there only if they are the right ones.

        Raises:
            DamagedDownloadError: If they are not.
        """
        await download(self._connection, f"/v1/blobs/{digest}", digest, Path(target))
        return Path(target)


async def download(connection: AsyncConnection, path: str, digest: str, target: Path) -> None:
    """Write the answer to a GET to a file once all of it came and has the digest.

    Raises:
        DamagedDownloadError: If it has another one.
    """
    receiving = Receiving(target)
    try:
        async with connection.stream(path, read_s=DOWNLOAD_READ_S) as answer:
            async for data in answer.aiter_bytes(BLOCK):
                await asyncio.to_thread(receiving.write, data)
        if not await asyncio.to_thread(receiving.finish, digest):
            raise DamagedDownloadError(f"{path} does not have the SHA-256 {digest}. Download it again.")
    finally:
        receiving.abandon()
