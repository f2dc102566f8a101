"""Putting the files of a finished study into the output directory, ``result.json`` last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from search.errors import UsageError
from service.local.store import write_atomically

RESULT = "result.json"


def deliver(out: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` below ``out``; a reader that sees ``result.json`` sees everything it names.

    Raises:
        UsageError: If the directory cannot be written.
    """
    try:
        (out / RESULT).unlink(missing_ok=True)
        for name in sorted(files, key=lambda name: (name == RESULT, name)):
            write_atomically(out / name, files[name])
    except OSError as error:
        raise UsageError(f"Cannot write to {str(out)!r}: {error.strerror}. Free some space or choose another --out.") from error


def export_calibration(folder: Path, arrays: Mapping[str, list[bytes]]) -> None:
    """Write calibration samples as ``<input name>/<n>.npy``, the layout the vendor's compiler reads."""
    for name, samples in arrays.items():
        for n, data in enumerate(samples):
            write_atomically(folder / name / f"{n}.npy", data)
