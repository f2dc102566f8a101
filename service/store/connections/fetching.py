"""Bringing one input in: from a path behind a connection to blobs, with a limit, in the form ``studies.problem`` has.

A data set is one file or a directory. A model is one file, or a directory with one ``.onnx`` file at its top; the other
files of the directory are its external data then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from service.store.connections.errors import ConnectionInputError
from service.store.connections.local import LocalPlace
from service.store.connections.place import Entry, Place
from service.store.connections.remote import s3_place
from service.store.names import path_problems
from service.store.settings import Connection, LocalConnection, Settings

MAX_FILES = 100_000
_MODELS = ("model", "metric")
Keep = Callable[[Iterator[bytes], int], "Kept"]
"""Makes a blob of bytes, at most so many."""


@dataclass(frozen=True)
class Kept:
    """A blob that was made: digest and bytes."""

    digest: str
    size: int


def open_place(connection: Connection) -> Place:
    """Return what a connection of the administrator leads to.

    Raises:
        ConnectionDownError: If its kind is not installed.
    """
    return LocalPlace(connection.path) if isinstance(connection, LocalConnection) else s3_place(connection)


def limit_of(key: str, settings: Settings) -> int:
    """Bytes that an input may have.

    Args:
        key: Its key in ``studies.problem``.
        settings: The limits.
    """
    if key.partition(".")[0] in _MODELS:
        return settings.max_model_bytes
    return settings.max_json_bytes if key == "overrides" else settings.max_dataset_bytes


def fetch(place: Place, path: str, *, key: str, limit: int, keep: Keep) -> Mapping[str, Any]:
    """Copy an input and return what it is now.

    Args:
        place: Where it lies.
        path: What the user named there.
        key: Its key in ``studies.problem``.
        limit: Most bytes of all its files.
        keep: Makes blobs.

    Raises:
        ConnectionInputError: If it is not there, too large, or not what the input may be.
        ConnectionDownError: If the place does not answer.
    """
    found = list(islice(place.entries(path), MAX_FILES + 1))
    _check(path, found, limit)
    is_file = found[0].path == ""
    is_model = key.partition(".")[0] in _MODELS
    main = _main(path, found) if is_model and not is_file else None
    if key == "overrides" and not is_file:
        raise ConnectionInputError(f"{path!r} is a directory; this input must be a file.")
    kept: dict[str, Kept] = {}
    left = limit
    for one in found:
        kept[one.path] = keep(place.read(f"{path}/{one.path}" if one.path else path), left)
        left -= kept[one.path].size
    size = limit - left
    if is_file:
        return {"kind": "file", "digest": kept[""].digest, "size": size}
    files = {name: one.digest for name, one in kept.items()}
    if main is None:
        return {"kind": "directory", "files": files, "size": size}
    return {"kind": "file", "name": main, "digest": files.pop(main), "files": files, "size": size}


def _check(path: str, found: list[Entry], limit: int) -> None:
    if not found:
        raise ConnectionInputError(f"{path!r} has no files.")
    if len(found) > MAX_FILES:
        raise ConnectionInputError(f"{path!r} has more than {MAX_FILES} files, the limit. Use one .npz file.", "limit")
    size = sum(one.size for one in found)
    if size > limit:
        raise ConnectionInputError(f"{path!r} has {size} bytes, the limit is {limit}.", "limit")
    names = [one.path for one in found if one.path]
    if mistakes := list(path_problems(names, at="")):
        raise ConnectionInputError(f"{mistakes[0].pointer[1:]!r} below {path!r} {mistakes[0].message}.")


def _main(path: str, found: list[Entry]) -> str:
    models = [one.path for one in found if "/" not in one.path and one.path.endswith(".onnx")]
    if len(models) != 1:
        have = "none" if not models else ", ".join(models[:3])
        raise ConnectionInputError(
            f"{path!r} must have one .onnx file at its top, it has {have}. Name the file itself."
        )
    return models[0]
