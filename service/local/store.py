"""The run directory ``OUT/.bitbudget``: an append-only list of results, and blobs by digest.

A result line is written after its blobs are on disk, so a result never names a missing blob. A line cut off by a kill is
ignored: that item is computed again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from search.canonical import canonical_json, digest_bytes
from search.errors import UsageError
from search.tasks import ItemResult

DIRECTORY = ".bitbudget"


class RunStore:
    """Results and blobs of one output directory."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._root = out / DIRECTORY
        self._results: dict[str, ItemResult] = {}

    @property
    def results(self) -> Mapping[str, ItemResult]:
        """All results by item digest."""
        return self._results

    def open(self, identity: Mapping[str, Any], *, force: bool) -> None:
        """Make or continue the directory.

        Args:
            identity: What the run computes: the spec with the digests of its files.
            force: Start over: forget the results and delete the files an earlier run delivered.

        Raises:
            UsageError: If the directory cannot be written, holds other files, or holds a run of another spec.
        """
        try:
            if force:
                self._forget()
            self._check_foreign()
            (self._root / "blobs").mkdir(parents=True, exist_ok=True)
            self._bind(identity)
        except OSError as error:
            raise UsageError(
                f"Cannot write the output directory {str(self.out)!r}: {error.strerror}. Choose another --out."
            ) from error
        self._results = {result.digest: result for result in _read_lines(self._root / "results.jsonl")}

    def read(self) -> None:
        """Load an existing run without changing it.

        Raises:
            UsageError: If there is none.
        """
        if not self._root.is_dir():
            raise UsageError(f"{str(self.out)!r} holds no run: it has no {DIRECTORY} directory.")
        self._results = {result.digest: result for result in _read_lines(self._root / "results.jsonl")}

    def add(self, result: ItemResult) -> None:
        """Append a result; its blobs must have been put before."""
        line = canonical_json(
            {
                "digest": result.digest,
                "kind": result.kind,
                "data": result.data,
                "blobs": dict(result.blobs),
                "seconds": round(result.seconds, 6),
                "reused": result.reused,
            }
        )
        with (self._root / "results.jsonl").open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._results[result.digest] = result

    def put(self, data: bytes) -> str:
        """Keep ``data`` and return its digest."""
        digest = digest_bytes(data)
        path = self.blob_path(digest)
        if not path.exists():
            write_atomically(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the blob ``digest``.

        Raises:
            KeyError: If there is none.
        """
        try:
            return self.blob_path(digest).read_bytes()
        except FileNotFoundError:
            raise KeyError(digest) from None

    def blob_path(self, digest: str) -> Path:
        """Where the blob ``digest`` lies."""
        return self._root / "blobs" / digest

    def take_over(self, other: RunStore, digests: Iterator[str]) -> None:
        """Copy results of another run, marked as reused."""
        for digest in digests:
            found = other.results.get(digest)
            if found is None or digest in self._results:
                continue
            for blob in found.blobs.values():
                self.put(other.get(blob))
            self.add(ItemResult(digest, found.kind, found.data, found.blobs, seconds=0.0, reused=True))

    def discard_if_empty(self, *, fresh: bool) -> None:
        """Leave nothing behind of a run that failed before its first result.

        Args:
            fresh: Whether the output directory did not exist before.
        """
        if self._results:
            return
        shutil.rmtree(self._root, ignore_errors=True)
        if fresh and self.out.is_dir() and not any(self.out.iterdir()):
            self.out.rmdir()

    def _forget(self) -> None:
        result = self.out / "result.json"
        if (self._root).is_dir() and result.is_file():
            for name in _artifacts(result):
                _delete_inside(self.out, name)
        shutil.rmtree(self._root, ignore_errors=True)

    def _check_foreign(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        if not self._root.exists() and any(self.out.iterdir()):
            raise UsageError(
                f"{str(self.out)!r} is not empty and holds no run of bitbudget. Choose an empty directory for --out."
            )

    def _bind(self, identity: Mapping[str, Any]) -> None:
        path = self._root / "spec.json"
        text = canonical_json(identity)
        if path.exists():
            if path.read_text() != text:
                raise UsageError(
                    f"{str(self.out)!r} holds a run of another spec ({_difference(path.read_text(), identity)}). "
                    "Choose another --out, or start over with --force."
                )
            return
        write_atomically(path, text.encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_lines(path: Path) -> Iterator[ItemResult]:
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue  # cut off by a kill
        yield ItemResult(
            digest=value["digest"],
            kind=value["kind"],
            data=value["data"],
            blobs=value["blobs"],
            seconds=value["seconds"],
            reused=value["reused"],
        )


def _artifacts(result: Path) -> list[str]:
    try:
        value = json.loads(result.read_text())
    except ValueError:
        return []
    return [*value.get("artifacts", {}).values(), "result.json"]


def _delete_inside(out: Path, name: str) -> None:
    path = (out / name).resolve()
    if path.is_relative_to(out.resolve()) and path.is_file():
        path.unlink()


def _difference(stored: str, identity: Mapping[str, Any]) -> str:
    before = json.loads(stored)
    keys = sorted(key for key in {*before, *identity} if before.get(key) != identity.get(key))
    return "different: " + ", ".join(keys)
