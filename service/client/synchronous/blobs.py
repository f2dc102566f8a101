"""Uploading and fetching bytes, models and data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from service.client.errors import DamagedDownloadError, NotFoundError
from service.client.files import BLOCK, Receiving, file_digest, files_below
from service.client.shapes import Blob, Collection, Page, page, read
from service.client.synchronous.connection import Connection
from service.client.synchronous.threads import in_thread

DOWNLOAD_READ_S = 60.0


class Blobs:
    """Bytes by their SHA-256."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def has(self, digest: str) -> bool:
        """Whether the tenant has these bytes; they are then kept for another while."""
        try:
            self._connection.ask("HEAD", f"/v1/blobs/{digest}")
        except NotFoundError:
            return False
        return True

    def put(self, path: Path | str) -> str:
        """Upload a file unless it is there; return how a spec names it, ``sha256:<hex>``.

        Raises:
            OSError: If it cannot be read.
        """
        source = Path(path)
        digest = in_thread(file_digest, source)
        if not self.has(digest):
            self.send(source, digest)
        return f"sha256:{digest}"

    def send(self, path: Path, digest: str) -> Blob:
        """Upload a file whose digest is known, without asking first."""

        def body() -> Iterator[bytes]:
            with path.open("rb") as file:
                while data := in_thread(file.read, BLOCK):
                    yield data

        size = in_thread(path.stat).st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        found = self._connection.ask("PUT", f"/v1/blobs/{digest}", headers=headers, body=body)
        return read(Blob, found.json())

    def get(self, digest: str, target: Path | str) -> Path:
        """Download bytes into a file; it is there only if they are the right ones.

        Raises:
            DamagedDownloadError: If they are not.
        """
        download(self._connection, f"/v1/blobs/{digest}", digest, Path(target))
        return Path(target)


def download(connection: Connection, path: str, digest: str, target: Path) -> None:
    """Write the answer to a GET to a file once all of it came and has the digest.

    Raises:
        DamagedDownloadError: If it has another one.
    """
    receiving = Receiving(target)
    try:
        with connection.stream(path, read_s=DOWNLOAD_READ_S) as answer:
            for data in answer.iter_bytes(BLOCK):
                in_thread(receiving.write, data)
        if not in_thread(receiving.finish, digest):
            raise DamagedDownloadError(f"{path} does not have the SHA-256 {digest}. Download it again.")
    finally:
        receiving.abandon()


class Collections:
    """Models, or data sets."""

    def __init__(self, connection: Connection, place: str) -> None:
        self._connection = connection
        self._blobs = Blobs(connection)
        self._path = f"/v1/{place}"

    def create(
        self, *, files: Mapping[str, str] | None = None, digest: str | None = None, name: str | None = None
    ) -> Collection:
        """Name uploaded blobs.

        Args:
            files: Relative path to SHA-256; of a model its external data.
            digest: SHA-256 of the model file; None for a data set.
            name: What to call it.
        """
        wanted: dict[str, Any] = {"name": name, "files": dict(files or {})}
        if digest is not None:
            wanted["digest"] = digest
        found = self._connection.ask("POST", self._path, json=wanted, repeatable=False)
        return read(Collection, found.json())

    def upload(
        self,
        path: Path | str,
        *,
        files: Mapping[str, Path] | None = None,
        name: str | None = None,
    ) -> Collection:
        """Upload what is not there yet, and name it.

        Args:
            path: The model file; of a data set its directory.
            files: External data of a model by relative path.
            name: What to call it.
        """
        source = Path(path)
        is_directory = in_thread(source.is_dir)
        below = in_thread(files_below, source) if is_directory else dict(files or {})
        digests = {}
        for relative, one in below.items():
            digests[relative] = self._blobs.put(one).removeprefix("sha256:")
        digest = None if is_directory else self._blobs.put(source).removeprefix("sha256:")
        return self.create(files=digests, digest=digest, name=name)

    def list(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Collection]:
        """Return them, newest first."""
        found = self._connection.ask("GET", self._path, params={"cursor": cursor, "limit": limit})
        return page(Collection, found.json())

    def get(self, identifier: str) -> Collection:
        """Return one with its files."""
        return read(Collection, self._connection.ask("GET", f"{self._path}/{identifier}").json())

    def pin(self, identifier: str, *, pinned: bool = True) -> Collection:
        """Keep one however long it is not used, or not."""
        found = self._connection.ask("PATCH", f"{self._path}/{identifier}", json={"pinned": pinned})
        return read(Collection, cast(Mapping[str, Any], found.json()))

    def delete(self, identifier: str) -> None:
        """Forget one; studies that use it keep its bytes."""
        with suppress(NotFoundError):  # a repeated request finds it gone
            self._connection.ask("DELETE", f"{self._path}/{identifier}")
