"""Putting the files of a finished study into the output directory, ``result.json`` last."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from search.data.source import SampleSource
from search.errors import UsageError
from search.export.calibration_folder import sample_path
from service.local.files import delete_inside, write_atomically
from service.local.store import RunStore

RESULT = "result.json"


def deliver(store: RunStore, files: Mapping[str, bytes], samples: SampleSource | None = None) -> None:
    """Write ``files`` below the output directory; a reader that sees ``result.json`` sees everything it names.

    What is there already with the same content stays untouched; what an earlier sitting delivered and this one does not
    is deleted.

    Args:
        store: The run.
        files: Content by relative path.
        samples: Calibration samples to write besides, one file each.

    Raises:
        UsageError: If the directory cannot be written.
    """
    out = store.out
    names = {*files, *(_sample_names(samples) if samples is not None else ())}
    before = set(store.delivered)
    try:
        if names != before:
            store.note_delivered(names | before)
        changed = [name for name, data in files.items() if not _holds(store, name, data)]
        if changed or names != before:
            (out / RESULT).unlink(missing_ok=True)
        for name in sorted(before - names):
            delete_inside(out, name)
        for name, data in _sample_files(samples) if samples is not None else ():
            if not (out / name).is_file():
                write_atomically(out / name, data)
        for name in sorted({*changed, RESULT}, key=lambda name: (name == RESULT, name)):
            if name in changed or not (out / name).is_file():
                write_atomically(out / name, files[name])
        if names != before:
            store.note_delivered(names)
    except OSError as error:
        raise UsageError(
            f"Cannot write to {str(out)!r}: {error.strerror}. Free some space or choose another --out."
        ) from error


def _holds(store: RunStore, name: str, data: bytes) -> bool:
    path = store.out / name
    return path.is_file() and path.read_bytes() == data


def _sample_names(samples: SampleSource) -> Iterable[str]:
    return (sample_path(name, n) for name in samples.layout for n in range(samples.n_samples))


def _sample_files(samples: SampleSource) -> Iterator[tuple[str, bytes]]:
    """Every sample as a ``.npy`` file with a batch axis of 1, as the compiler feeds the model."""
    for n in range(samples.n_samples):
        for name, array in samples.batch(np.array([n])).items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            yield sample_path(name, n), buffer.getvalue()
