"""The inputs of a study as files beside its evaluator.

A model is copied: a runtime follows links, and a folder shared with other blobs would let external data of one model
name another one. Data sets are linked, because nothing in them names a file. Every blob is read once and its digest
compared before it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from service.store.blobs.errors import BlobNotFoundError, CorruptBlobError
from service.store.blobs.store import BlobStore
from workers.failures import StudyFailedError
from workers.problem import Input

_COPIED = ("model", "metric")


class Inputs:
    """Lays out inputs; remembers which blobs this process has verified."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._verified: set[tuple[str, int, int]] = set()

    def lay_out(self, inputs: Iterable[Input], folder: Path) -> Mapping[str, Path]:
        """Put ``inputs`` below ``folder``; return where each lies by its digest.

        Raises:
            StudyFailedError: If a blob is gone or damaged.
        """
        found = {}
        for number, one in enumerate(inputs):
            root = folder / "inputs" / f"{number}-{one.role}"
            root.mkdir(parents=True, exist_ok=True)
            for path, digest in one.files.items():
                self._put(digest, root / path, copy=one.role in _COPIED)
            found[one.digest] = root if one.main is None else root / one.main
        return found

    def _put(self, digest: str, target: Path, *, copy: bool) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            if copy:
                self._store.materialise(digest, target)
            else:
                target.symlink_to(self.verified(digest))
        except BlobNotFoundError:
            text = f"The file sha256:{digest} of an input is not in the store any more."
            raise StudyFailedError("missing-input", "system", text) from None
        except CorruptBlobError:
            text = f"The file sha256:{digest} of an input is damaged in the store: its bytes have another digest."
            raise StudyFailedError("damaged-input", "system", text) from None

    def verified(self, digest: str) -> Path:
        """Return where a blob lies, its bytes compared with its name once as long as the file stays the same.

        Raises:
            BlobNotFoundError: If it is not there.
            CorruptBlobError: If its bytes have another digest.
        """
        path = self._store.path(digest)
        info = path.stat()
        key = (digest, info.st_size, info.st_mtime_ns)
        if key not in self._verified:
            self._store.verify(digest)
            self._verified.add(key)
        return path
