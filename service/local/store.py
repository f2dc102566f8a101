"""The run directory ``OUT/.bitbudget``: an append-only list of results, and blobs by digest.

A result line is written after its blobs are on disk. A line cut off by a kill, or one whose blobs are gone, is ignored:
that item is computed again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from search.canonical import canonical_json, digest_bytes
from search.errors import UsageError
from search.tasks import ItemResult
from service.local.files import delete_inside, write_atomically
from service.local.lock import try_lock

DIRECTORY = ".bitbudget"
JOB = "job.json"
_METRIC = "metric."


class RunStore:
    """Results and blobs of one output directory.

    Attributes:
        changed_metrics: Metrics of the user's own whose code is another one than in the sitting before: they are
            measured again, everything else stays.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._root = out / DIRECTORY
        self._results: dict[str, ItemResult] = {}
        self._lock: IO[bytes] | None = None
        self._is_fresh = False
        self._made_out = False
        self._has_added = False
        self.changed_metrics: tuple[str, ...] = ()

    @property
    def results(self) -> Mapping[str, ItemResult]:
        """All results by item digest."""
        return self._results

    def inspect(self, identity: Mapping[str, Any], *, force: bool) -> None:
        """Look whether ``open`` may use the directory, and load what an earlier sitting left; nothing is changed.

        Args:
            identity: What the run computes: the spec with the digests of its files.
            force: The run will start over, so earlier results do not count.

        Raises:
            UsageError: If the directory cannot be written, holds other files, or holds a run of another spec.
        """
        with self._writing():
            self._check_place()
        if self._root.is_dir() and not force:
            self._check_same(identity)
            self.read()

    def open(self, identity: Mapping[str, Any], *, force: bool) -> None:
        """Make or continue the directory and keep other runs out of it; arguments and errors as for ``inspect``."""
        self.inspect(identity, force=force)
        with self._writing():
            self._made_out = not self.out.exists()
            self._is_fresh = force or not (self._root / "spec.json").exists()
            (self._root / "blobs").mkdir(parents=True, exist_ok=True)
            self._take_lock()
            if force:
                self._forget()
            if self._is_fresh or self.changed_metrics:
                write_atomically(self._root / "spec.json", canonical_json(identity).encode())
            self._end_line()

    def keep_job(self, document: Mapping[str, Any]) -> None:
        """Keep the job with the folders of its files, for those who deliver another trial of it.

        A sitting that computed nothing changes nothing.
        """
        if not self._has_added and (self._root / JOB).is_file():
            return
        with self._writing():
            write_atomically(self._root / JOB, canonical_json(document).encode())

    def job(self) -> object:
        """Return the job that was kept, as JSON.

        Raises:
            UsageError: If none was, or it cannot be read.
        """
        try:
            found: object = json.loads((self._root / JOB).read_bytes())
        except (OSError, ValueError):
            raise UsageError(
                f"{str(self.out)!r} holds no finished run of this version. Run the same search again; what is stored "
                "is not computed again."
            ) from None
        return found

    def read(self) -> None:
        """Load an existing run without changing it.

        Raises:
            UsageError: If there is none.
        """
        if not self._root.is_dir():
            raise UsageError(f"{str(self.out)!r} holds no run: it has no {DIRECTORY} directory.")
        found = {result.digest: result for result in _read_lines(self._root / "results.jsonl")}
        self._results = {digest: result for digest, result in found.items() if self._is_whole(result)}

    def add(self, result: ItemResult) -> None:
        """Append a result; its blobs must have been put before.

        Raises:
            UsageError: If it cannot be written.
        """
        result = replace(result, seconds=round(result.seconds, 6))  # what is read back later
        line = canonical_json(
            {
                "digest": result.digest,
                "kind": result.kind,
                "data": result.data,
                "blobs": dict(result.blobs),
                "seconds": result.seconds,
                "reused": result.reused,
            }
        )
        with self._writing(), (self._root / "results.jsonl").open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._results[result.digest] = result
        self._has_added = True

    def put(self, data: bytes) -> str:
        """Keep ``data`` and return its digest.

        Raises:
            UsageError: If it cannot be written.
        """
        digest = digest_bytes(data)
        path = self.blob_path(digest)
        if not path.exists():
            with self._writing():
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

    def take_over(self, other: RunStore, digests: Iterable[str]) -> int:
        """Copy results of another run, marked as reused; return how many."""
        taken = 0
        for digest in digests:
            found = other.results.get(digest)
            if found is None or digest in self._results:
                continue
            for blob in found.blobs.values():
                self.put(other.get(blob))
            self.add(ItemResult(digest, found.kind, found.data, found.blobs, seconds=0.0, reused=True))
            taken += 1
        return taken

    @property
    def delivered(self) -> tuple[str, ...]:
        """Files below the output directory that this run has put there."""
        path = self._root / "delivered.json"
        return tuple(json.loads(path.read_bytes())) if path.is_file() else ()

    def note_delivered(self, names: Iterable[str]) -> None:
        """Remember what belongs to this run, so that it alone is deleted when the run starts over."""
        with self._writing():
            write_atomically(self._root / "delivered.json", canonical_json(sorted(names)).encode())

    def discard(self) -> None:
        """Leave nothing behind of a run that began in this sitting: its input is wrong, it can never go on."""
        if not self._is_fresh:
            return
        self.close()
        shutil.rmtree(self._root, ignore_errors=True)
        if self._made_out and self.out.is_dir() and not any(self.out.iterdir()):
            self.out.rmdir()

    def close(self) -> None:
        """Let other runs use the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _check_place(self) -> None:
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"The output {str(self.out)!r} is a file. Give a directory with --out.")
        if self.out.is_dir() and not self._root.exists() and any(self.out.iterdir()):
            raise UsageError(
                f"{str(self.out)!r} is not empty and holds no run of bitbudget. Choose an empty directory for --out."
            )
        place = next(path for path in (self._root, *self._root.parents) if path.exists())
        if not place.is_dir():
            raise UsageError(f"Cannot make {str(self.out)!r}: {str(place)!r} is a file. Choose another --out.")
        if not os.access(place, os.W_OK | os.X_OK):
            raise UsageError(f"Cannot write to {str(place)!r}. Change its permissions or choose another --out.")

    def _check_same(self, identity: Mapping[str, Any]) -> None:
        path = self._root / "spec.json"
        if not path.is_file():  # killed before it began
            return
        before = json.loads(path.read_text())
        different = [key for key in sorted({*before, *identity}) if before.get(key) != identity.get(key)]
        # Items name the digest of the metric they measured with, so results of both never mix.
        self.changed_metrics = tuple(
            key.removeprefix(_METRIC)
            for key in different
            if key.startswith(_METRIC) and key in before and key in identity
        )
        difference = ", ".join(key for key in different if key.removeprefix(_METRIC) not in self.changed_metrics)
        if difference:
            raise UsageError(
                f"{str(self.out)!r} holds a run of another spec (different: {difference}). "
                "Choose another --out, or start over with --force."
            )

    def _is_whole(self, result: ItemResult) -> bool:
        return all(self.blob_path(blob).is_file() for blob in result.blobs.values())

    def _take_lock(self) -> None:
        self.close()
        self._lock = (self._root / "lock").open("wb")
        if not try_lock(self._lock):
            self.close()
            raise UsageError(f"Another run is working in {str(self.out)!r}. Wait for it, or choose another --out.")

    def _forget(self) -> None:
        for name in self.delivered:
            delete_inside(self.out, name)
        for path in self._root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
        (self._root / "blobs").mkdir()

    def _end_line(self) -> None:
        """Close a line that a kill cut off, so that the next one stands alone."""
        path = self._root / "results.jsonl"
        if path.is_file() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"Cannot write to {str(self.out)!r}: {error.strerror}. Free some space or choose another --out."
            ) from error


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
