"""Models and data sets: uploading what is not there yet, and naming it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from search.records.document import to_json
from service.client.blobs import AsyncBlobs
from service.client.connection import AsyncConnection
from service.client.errors import NotFoundError
from service.client.files import files_below
from service.contract import Dataset, Model, NewDataset, NewModel, Page, Pinned, Upload, page, read

UploadT = TypeVar("UploadT", bound=Upload)


class AsyncUploads(Generic[UploadT]):
    """What models and data sets have in common."""

    def __init__(self, connection: AsyncConnection, place: str, kind: type[UploadT]) -> None:
        self._connection = connection
        self._blobs = AsyncBlobs(connection)
        self._path = f"/v1/{place}"
        self._kind = kind

    async def list(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Upload]:
        """Return them, newest first."""
        found = await self._connection.ask("GET", self._path, params={"cursor": cursor, "limit": limit})
        return page(Upload, found.json())

    async def get(self, identifier: str) -> UploadT:
        """Return one with its files."""
        found = await self._connection.ask("GET", f"{self._path}/{identifier}")
        return read(self._kind, found.json())

    async def pin(self, identifier: str, *, pinned: bool = True) -> UploadT:
        """Keep one however long it is not used, or not."""
        wanted = to_json(Pinned(pinned=pinned))
        found = await self._connection.ask("PATCH", f"{self._path}/{identifier}", json=wanted)
        return read(self._kind, found.json())

    async def delete(self, identifier: str) -> None:
        """Forget one; studies that use it keep its bytes."""
        with suppress(NotFoundError):  # a repeated request finds it gone
            await self._connection.ask("DELETE", f"{self._path}/{identifier}")

    async def _make(self, wanted: NewModel | NewDataset) -> UploadT:
        found = await self._connection.ask("POST", self._path, json=to_json(wanted), repeatable=False)
        return read(self._kind, found.json())

    async def _put_all(self, files: Mapping[str, Path]) -> dict[str, str]:
        return {relative: (await self._blobs.put(one)).removeprefix("sha256:") for relative, one in files.items()}


class AsyncModels(AsyncUploads[Model]):
    """Models, with external data where they have any."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, "models", Model)

    async def create(self, *, digest: str, files: Mapping[str, str] | None = None, name: str | None = None) -> Model:
        """Name uploaded blobs.

        Args:
            digest: SHA-256 of the model file.
            files: Its external data: relative path to SHA-256.
            name: What to call it.
        """
        return await self._make(NewModel(name=name, digest=digest, files=dict(files or {})))

    async def upload(
        self, path: Path | str, *, files: Mapping[str, Path] | None = None, name: str | None = None
    ) -> Model:
        """Upload what is not there yet, and name it.

        Args:
            path: The model file.
            files: Its external data by relative path.
            name: What to call it.

        Raises:
            OSError: If a file cannot be read.
        """
        digests = await self._put_all(files or {})
        digest = (await self._blobs.put(path)).removeprefix("sha256:")
        return await self.create(digest=digest, files=digests, name=name)


class AsyncDatasets(AsyncUploads[Dataset]):
    """Data sets of many files."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, "datasets", Dataset)

    async def create(self, *, files: Mapping[str, str], name: str | None = None) -> Dataset:
        """Name uploaded blobs.

        Args:
            files: Relative path to SHA-256.
            name: What to call it.
        """
        return await self._make(NewDataset(name=name, files=dict(files)))

    async def upload(self, folder: Path | str, *, name: str | None = None) -> Dataset:
        """Upload the files below a directory that are not there yet, and name them.

        Args:
            folder: The directory.
            name: What to call it.

        Raises:
            OSError: If it is none, or a file cannot be read.
        """
        below = await asyncio.to_thread(files_below, Path(folder))
        return await self.create(files=await self._put_all(below), name=name)
