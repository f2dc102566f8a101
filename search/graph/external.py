"""Read external data of a model into it, from plain files inside its own folder and nowhere else.

Refused: absolute paths, ``..``, backslashes, drives, links of both kinds (a runtime follows a hard link to a file
outside), devices and pipes, ranges outside the file, and the marker by which a runtime addresses its own memory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from search.errors import InvalidModelError, UsageError
from search.graph.tensors import declared_bytes
from search.graph.walk import tensors

_MEMORY_MARKER = "_ORT_MEM_ADDR_"
_NUMBER = re.compile(r"[0-9]{1,19}")
_WAY_OUT = "Copy the data as a plain file beside the model, or save the model in one file."


@dataclass(frozen=True, slots=True)
class _Range:
    """Where the bytes of one tensor lie."""

    location: str
    offset: int
    length: int


def read_plain_file(path: Path, max_bytes: int) -> bytes:
    """Read the model file itself, which may be reached through a link.

    Raises:
        UsageError: If there is no such file.
        InvalidModelError: If it is no regular file, empty or larger than ``max_bytes``.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"Model {path} cannot be opened: {error.strerror}.") from error
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode):
        os.close(handle)
        raise InvalidModelError(f"Model {path} is not a regular file. Give an .onnx file.")
    with os.fdopen(handle, "rb") as file:
        if info.st_size == 0:
            raise InvalidModelError(f"Model {path} is empty, not an ONNX model.")
        if info.st_size > max_bytes:
            raise InvalidModelError(f"Model {path} has {info.st_size} bytes; the limit is {max_bytes}.")
        return file.read(info.st_size + 1)  # memory for all that is asked for is taken at once


def embed_external_data(model: onnx.ModelProto, folder: Path) -> list[bytes]:
    """Load every external tensor of ``model`` in place.

    Returns:
        The bytes of each, in the order of the model, for the model's digest.

    Raises:
        InvalidModelError: If a location, range or file is not allowed, or does not match the tensor's shape.
    """
    loaded = []
    for where, tensor in tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        data = _read(folder, _range_of(tensor, where), where)
        tensor.raw_data = data
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        loaded.append(data)
    return loaded


def _range_of(tensor: onnx.TensorProto, where: str) -> _Range:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    declared = declared_bytes(tensor, where)
    location = entries.get("location", "")
    _check_location(location, where)
    length = _number(entries.get("length", str(declared)), f"{where}: length of its external data")
    if length != declared:
        raise InvalidModelError(
            f"{where} declares shape {list(tensor.dims)}, which takes {declared} bytes, but its external data has "
            f"{length}. The files do not belong together; export the model again."
        )
    return _Range(location, _number(entries.get("offset", "0"), f"{where}: offset of its external data"), length)


def _number(text: str, what: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidModelError(f"{what} is {text[:40]!r}, not a number of at most 19 digits. Export the model again.")
    return int(text)


def _check_location(location: str, where: str) -> None:
    if not isinstance(location, str) or not location or not location.isprintable():
        raise InvalidModelError(f"{where} has external data without a readable file name. {_WAY_OUT}")
    parts = location.split("/")
    outside = (
        location.startswith(("/", "~"))
        or "\\" in location
        or re.match(r"[A-Za-z]:", location) is not None
        or ".." in parts
        or _MEMORY_MARKER in location
    )
    if outside:
        raise InvalidModelError(
            f"{where} has its external data at {location[:80]!r}, outside the folder of the model. {_WAY_OUT}"
        )


def _read(folder: Path, part: _Range, where: str) -> bytes:
    with _opened(folder, part.location, where) as handle:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise InvalidModelError(f"{where}: external data {part.location!r} is no regular file. {_WAY_OUT}")
        if info.st_nlink > 1:
            raise InvalidModelError(f"{where}: external data {part.location!r} is a hard link. {_WAY_OUT}")
        if part.offset + part.length > info.st_size:
            raise InvalidModelError(
                f"{where} needs bytes {part.offset} to {part.offset + part.length} of {part.location!r}, "
                f"which has {info.st_size}. The file is truncated; copy it again."
            )
        data = bytearray()
        while len(data) < part.length:
            piece = os.pread(handle, part.length - len(data), part.offset + len(data))
            if not piece:
                raise InvalidModelError(f"{where}: external data {part.location!r} ended early. Copy it again.")
            data += piece
        return bytes(data)


@contextmanager
def _opened(folder: Path, location: str, where: str) -> Iterator[int]:
    """Open ``location`` below ``folder`` one component at a time, following no link and blocking on no pipe."""
    if not hasattr(os, "O_NOFOLLOW"):
        raise InvalidModelError(
            f"{where}: external data is read on Linux and macOS only, because this system cannot open a file without "
            "following links. Save the model with its weights inside."
        )
    *parents, name = [part for part in location.split("/") if part not in ("", ".")] or [""]
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    handles = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        for part in parents:
            handles.append(os.open(part, flags | os.O_DIRECTORY, dir_fd=handles[-1]))
        handles.append(os.open(name, flags | os.O_NONBLOCK, dir_fd=handles[-1]))
        yield handles[-1]
    except OSError as error:
        raise InvalidModelError(
            f"{where}: external data {location[:80]!r} cannot be opened ({error.strerror}; links are not followed). "
            f"{_WAY_OUT}"
        ) from error
    finally:
        for handle in handles:
            os.close(handle)
