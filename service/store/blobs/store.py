"""Files by the SHA-256 of their content: ``blobs/sha256/ab/<digest>``.

Bytes are hashed while they are written to ``blobs/incoming/`` on the same file system; then fsync, rename, fsync of the
directory. So a file under its digest is whole. It is read-only and never linked: a runtime would follow a link out of
its directory, and a second name would let somebody change the content.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from service.store.blobs.errors import (
    BlobNotFoundError,
    BlobTooLargeError,
    CorruptBlobError,
    DigestMismatchError,
    StorageFullError,
)

CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


def is_digest(text: str) -> bool:
    """Whether ``text`` is a SHA-256 as this program writes it: 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True)
class Staged:
    """Bytes on disk that have no name yet.

    Attributes:
        digest: SHA-256 of what was written.
        size: In bytes.
        path: Where they lie until ``keep`` or ``discard``.
    """

    digest: str
    size: int
    path: Path


class BlobStore:
    """The blobs of one installation, on a file system that all its processes share.

    Attributes:
        root: Holds ``sha256/`` and ``incoming/``; made if missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        with _writing():
            self._incoming.mkdir(parents=True, exist_ok=True)
            (root / "sha256").mkdir(exist_ok=True)

    @contextmanager
    def receiving(self, *, limit: int | None = None) -> Iterator[Receiver]:
        """Take bytes as they come; unless ``finish`` succeeded, nothing is left at the end of the block."""
        receiver = Receiver(self._incoming / uuid.uuid4().hex, limit)
        try:
            yield receiver
        finally:
            receiver.close()

    def stage(self, chunks: Iterable[bytes], *, limit: int | None = None, expected: str | None = None) -> Staged:
        """Write bytes to disk without a name; ``keep`` or ``discard`` must follow.

        Raises:
            BlobTooLargeError: If there are more than ``limit``.
            DigestMismatchError: If they are not those ``expected``.
            StorageFullError: If the disk takes no more.
        """
        with self.receiving(limit=limit) as receiver:
            for chunk in chunks:
                receiver.write(chunk)
            return receiver.finish(expected)

    def keep(self, staged: Staged) -> None:
        """Give staged bytes their name; call it inside the transaction that stores the blob's row.

        Raises:
            StorageFullError: If the disk takes no more.
        """
        path = self._path(staged.digest)
        with _writing():
            path.parent.mkdir(exist_ok=True)
            staged.path.replace(path)  # also over an older file: same content, and that one may be damaged
            _sync_directory(path.parent)

    def discard(self, staged: Staged) -> None:
        """Forget staged bytes; nothing happens if they were kept."""
        staged.path.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob lies, to read it there.

        Raises:
            BlobNotFoundError: If it is not there.
        """
        path = self._path(digest)
        if not path.is_file():
            raise BlobNotFoundError(f"Blob sha256:{digest} is not on disk. Upload it again, or restore a backup.")
        return path

    def size(self, digest: str) -> int:
        """Bytes of a blob on disk."""
        return self.path(digest).stat().st_size

    def open(self, digest: str, *, size: int | None = None) -> BufferedReader:
        """Open a blob for reading.

        Args:
            digest: Which.
            size: What the database says; a file of another length is not opened.

        Raises:
            BlobNotFoundError: If it is not there.
            CorruptBlobError: If its length is another one.
        """
        path = self.path(digest)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except FileNotFoundError:
            raise BlobNotFoundError(f"Blob sha256:{digest} was deleted just now.") from None
        found = os.fstat(file.fileno()).st_size
        if size is not None and found != size:
            file.close()
            raise CorruptBlobError(f"Blob sha256:{digest} has {found} bytes on disk, not {size}. Restore a backup.")
        return file

    def read(self, digest: str) -> bytes:
        """Return the content of a small blob, checked.

        Raises:
            BlobNotFoundError: If it is not there.
            CorruptBlobError: If the content has changed.
        """
        with self.open(digest) as file:
            data = file.read()
        _compare(digest, hashlib.sha256(data).hexdigest())
        return data

    def verify(self, digest: str) -> None:
        """Read a blob and compare it with its name.

        Raises:
            BlobNotFoundError: If it is not there.
            CorruptBlobError: If the content has changed.
        """
        with self.open(digest) as file:
            _compare(digest, hashlib.file_digest(file, "sha256").hexdigest())

    def materialise(self, digest: str, target: Path) -> None:
        """Copy a blob to ``target``, a new file of the caller's own, and check what was copied.

        Raises:
            BlobNotFoundError: If it is not there.
            CorruptBlobError: If the content has changed; the copy is deleted.
            StorageFullError: If the disk takes no more; the copy is deleted.
        """
        running = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self.open(digest) as source, _writing(), os.fdopen(os.open(target, flags, 0o600), "wb") as copy:
            try:
                while chunk := source.read(CHUNK):
                    running.update(chunk)
                    copy.write(chunk)
                copy.flush()
                _compare(digest, running.hexdigest())
            except (OSError, CorruptBlobError):
                target.unlink(missing_ok=True)
                raise

    def delete(self, digest: str) -> bool:
        """Delete a file; only after its row says so. False if it was not there."""
        path = self._path(digest)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        _sync_directory(path.parent)
        return True

    def digests(self) -> Iterator[tuple[str, os.stat_result]]:
        """All files with a digest's name, with their status."""
        for path in sorted((self.root / "sha256").glob("??/*")):
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if is_digest(path.name) and stat.S_ISREG(status.st_mode):
                yield path.name, status

    def discard_stale(self, age_s: float) -> int:
        """Delete what uploads left behind that were cut off longer ago than ``age_s``; return how many."""
        oldest = time.time() - age_s
        count = 0
        for path in self._incoming.iterdir():
            try:
                if path.lstat().st_mtime < oldest:
                    path.unlink()
                    count += 1
            except FileNotFoundError:
                continue
        return count

    def free_bytes(self) -> int:
        """Space left on the file system."""
        return shutil.disk_usage(self.root).free

    def _path(self, digest: str) -> Path:
        if not is_digest(digest):  # no text of a user ever becomes a path
            raise ValueError(f"{digest!r} is not a SHA-256 in lower-case hexadecimal.")
        return self.root / "sha256" / digest[:2] / digest


class Receiver:
    """Hashes bytes while it writes them; ``with store.receiving() as receiver`` cleans up after it."""

    def __init__(self, path: Path, limit: int | None) -> None:
        self._path = path
        self._limit = limit
        self._hash = hashlib.sha256()
        self._is_finished = False
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with _writing():
            self._file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            BlobTooLargeError: If there are more than the limit.
            StorageFullError: If the disk takes no more.
        """
        self.size += len(chunk)
        if self._limit is not None and self.size > self._limit:
            raise BlobTooLargeError(f"The upload has more than {self._limit} bytes, the limit for it.")
        self._hash.update(chunk)
        rest = memoryview(chunk)
        with _writing():
            while rest:
                rest = rest[self._file.write(rest) or 0 :]

    def finish(self, expected: str | None = None) -> Staged:
        """Say that this was all.

        Raises:
            DigestMismatchError: If the bytes are not those ``expected``.
            StorageFullError: If the disk takes no more.
        """
        digest = self._hash.hexdigest()
        if expected is not None and digest != expected:
            raise DigestMismatchError(
                f"The {self.size} bytes received have SHA-256 {digest}, announced was {expected}. Send the file again."
            )
        with _writing():
            os.fchmod(self._file.fileno(), 0o440)
            os.fsync(self._file.fileno())
        self._file.close()
        self._is_finished = True
        return Staged(digest, self.size, self._path)

    def close(self) -> None:
        """Leave nothing behind unless ``finish`` succeeded."""
        self._file.close()
        if not self._is_finished:
            self._path.unlink(missing_ok=True)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(f"The blob store cannot be written: {error.strerror}. Free some space.") from error
        raise


def _compare(digest: str, found: str) -> None:
    if found != digest:
        raise CorruptBlobError(f"Blob sha256:{digest} has changed on disk (now {found}). Restore a backup.")


def _sync_directory(path: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
