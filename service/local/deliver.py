"""Putting the files of a finished study into the output directory, ``result.json`` last."""

from __future__ import annotations

from collections.abc import Mapping

from search.data.source import SampleSource
from search.errors import UsageError
from search.study.delivery import RESULT, sample_files, sample_names
from service.local.files import delete_inside, write_atomically
from service.local.store import RunStore


def deliver(
    store: RunStore,
    files: Mapping[str, bytes],
    samples: SampleSource | None = None,
    blobs: Mapping[str, str] | None = None,
) -> None:
    """Write ``files`` below the output directory; a reader that sees ``result.json`` sees everything it names.

    What is there already with the same content stays untouched; what an earlier sitting delivered and this one does not
    is deleted.

    Args:
        store: The run.
        files: Content by relative path.
        samples: Calibration samples to write besides, one file each.
        blobs: Files to be copied from the run's blobs one by one: digest by relative path.

    Raises:
        UsageError: If the directory cannot be written.
    """
    out = store.out
    copied = blobs or {}
    names = {*files, *copied, *(sample_names(samples) if samples is not None else ())}
    before = set(store.delivered)
    try:
        if names != before:
            store.note_delivered(names | before)
        changed = [name for name, data in files.items() if not _holds(store, name, data)]
        if changed or names != before:
            (out / RESULT).unlink(missing_ok=True)
        for name in sorted(before - names):
            delete_inside(out, name)
        _write_large(store, samples, copied)
        for name in sorted({*changed, RESULT}, key=lambda name: (name == RESULT, name)):
            if name in changed or not (out / name).is_file():
                write_atomically(out / name, files[name])
        if names != before:
            store.note_delivered(names)
    except OSError as error:
        raise UsageError(
            f"Cannot write to {str(out)!r}: {error.strerror}. Free some space or choose another --out."
        ) from error


def _write_large(store: RunStore, samples: SampleSource | None, copied: Mapping[str, str]) -> None:
    """Write what is read or copied one file at a time."""
    for name, data in sample_files(samples) if samples is not None else ():
        if not (store.out / name).is_file():
            write_atomically(store.out / name, data)
    for name, digest in copied.items():
        if not _holds(store, name, data := store.get(digest)):
            write_atomically(store.out / name, data)


def _holds(store: RunStore, name: str, data: bytes) -> bool:
    path = store.out / name
    return path.is_file() and path.read_bytes() == data
