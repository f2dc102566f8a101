"""One array in NumPy's ``.npy`` format, from a stream that strangers may have written.

The header is read and checked before anything is allocated: a file of a few hundred bytes can claim terabytes. Only
plain numbers are accepted; an object array would be a pickle, and unpickling runs code.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from search.arrays import Array, DType
from search.data.inputs import shape_text
from search.errors import InvalidDataError

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 8192
MAX_AXES = 16
_CHUNK_BYTES = 4 * 2**20
_NUMBER = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248])")


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What the header of an array claims, and how many bytes the header itself takes."""

    dtype: DType
    shape: tuple[int, ...]
    fortran_order: bool
    header_bytes: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], *, where: str) -> NpyHeader:
    """Read the header, leaving ``stream`` at the first value.

    Raises:
        InvalidDataError: If it is no NumPy array, damaged, or holds anything but numbers.
    """
    start = stream.read(8)
    if len(start) < 8 or not start.startswith(MAGIC):
        raise InvalidDataError(f"{where}: is not a NumPy array (.npy). Write it with np.save or np.savez.")
    if start[6] not in (1, 2, 3):
        raise InvalidDataError(f"{where}: .npy version {start[6]} is unknown; 1 to 3 are. Write it with np.save.")
    n_length_bytes = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(n_length_bytes), "little")
    if length > MAX_HEADER_BYTES:
        raise InvalidDataError(f"{where}: the .npy header claims {length} bytes; {MAX_HEADER_BYTES} are allowed.")
    text = stream.read(length)
    if len(text) < length:
        raise InvalidDataError(f"{where}: ends inside the .npy header. The file is truncated; copy it again.")
    return _parse_header(text, 8 + n_length_bytes + length, where)


def _parse_header(text: bytes, header_bytes: int, where: str) -> NpyHeader:
    try:
        claims = ast.literal_eval(text.decode("utf-8").strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        claims = None
    if not isinstance(claims, dict) or set(claims) != {"descr", "fortran_order", "shape"}:
        raise InvalidDataError(f"{where}: the .npy header is damaged. Write it again with np.save or np.savez.")
    shape, order = claims["shape"], claims["fortran_order"]
    if not _is_shape(shape) or not isinstance(order, bool):
        raise InvalidDataError(f"{where}: the .npy header has an impossible shape {str(shape)[:60]}. Write it again.")
    return NpyHeader(_number_type(claims["descr"], where), shape, order, header_bytes)


def _is_shape(shape: Any) -> bool:
    if not isinstance(shape, tuple) or len(shape) > MAX_AXES:
        return False
    # A size of 0 hides the others from the byte count, and NumPy cannot hold sizes beyond its index type.
    return all(type(size) is int and size >= 0 for size in shape) and math.prod(max(1, s) for s in shape) < 2**48


def _number_type(descr: Any, where: str) -> DType:
    if isinstance(descr, str) and _NUMBER.fullmatch(descr):
        return np.dtype(descr)
    is_object = isinstance(descr, str) and descr.lstrip("<>=|").startswith("O")
    objects = "Python objects, which are never loaded because unpickling can run code"
    reason = objects if is_object else repr(str(descr)[:60])
    raise InvalidDataError(
        f"{where}: holds {reason}. Only bool, 8 to 64-bit integers and 16 to 64-bit floats are accepted; "
        f"convert with astype."
    )


def read_values(stream: IO[bytes], header: NpyHeader, *, where: str) -> Array:
    """Read the values behind the header, in native byte order.

    The caller has checked ``header.n_bytes`` against the size of the file.

    Raises:
        InvalidDataError: If the stream ends early.
    """
    values: Array = np.empty(math.prod(header.shape), header.dtype)
    target = values.view(np.uint8)
    filled = 0
    while filled < len(target):
        part = stream.read(min(_CHUNK_BYTES, len(target) - filled))
        if not part:
            raise InvalidDataError(
                f"{where}: ends after {filled} of {len(target)} bytes of values. The file is truncated; copy it again."
            )
        target[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    shaped = values.reshape(header.shape, order="F" if header.fortran_order else "C")
    return np.ascontiguousarray(shaped, dtype=header.dtype.newbyteorder("=")).reshape(header.shape)


def size_text(header: NpyHeader) -> str:
    """Return ``float32 [256, 3, 32, 32]`` for a message."""
    return f"{header.dtype.name} {shape_text(header.shape)}"
