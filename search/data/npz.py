"""Samples in one ``.npz`` file: keys that are model inputs are samples, all other keys are labels.

A ``.npz`` is a zip of ``.npy`` files. For each member three sizes must agree before anything is allocated: what the
zip directory says, what the array header claims, and the limit.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from search.arrays import Array
from search.data.digest import file_digest
from search.data.inputs import InputInfo
from search.data.names import check_names
from search.data.npy import NpyHeader, read_header, read_values, size_text
from search.data.stored import StoredArrays
from search.errors import InvalidDataError

MAX_BYTES = 8 * 2**30
MAX_ARRAYS = 1000
MAX_RATIO = 100  #: of unpacked to packed size, above ``RATIO_FREE_BYTES``
RATIO_FREE_BYTES = 256 * 2**20
_MAX_DEFLATE_RATIO = 1040  # deflate cannot pack better; a larger claim is a lie
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


def open_npz(path: Path, inputs: Sequence[InputInfo], *, max_bytes: int = MAX_BYTES) -> StoredArrays:
    """Read a ``.npz`` into memory.

    Args:
        path: The file.
        inputs: Inputs of the model that are fed from it; arrays with other names become labels.
        max_bytes: Limit of all arrays together, unpacked.

    Raises:
        InvalidDataError: If it is no zip, is damaged, holds anything but plain arrays, is too large, or lacks an input.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path, max_bytes)
            check_names(path.name, members, inputs)
            arrays = {key: _read(archive, info, f"{path.name}: {key!r}") for key, info in members.items()}
    except _DAMAGE as error:
        raise InvalidDataError(
            f"{path.name}: cannot be read as .npz ({error}). It is truncated, damaged or something else; "
            f"write it with np.savez."
        ) from None
    names = {info.name for info in inputs}
    samples = {info.name: arrays[info.name] for info in inputs}
    labels = {key: array for key, array in arrays.items() if key not in names}
    return StoredArrays(path.name, samples, file_digest(path), labels)


def _members(archive: zipfile.ZipFile, path: Path, max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by array name, none of them read yet."""
    infos = archive.infolist()
    if len(infos) > MAX_ARRAYS:
        raise InvalidDataError(f"{path.name}: holds {len(infos)} arrays; {MAX_ARRAYS} are allowed.")
    total = sum(info.file_size for info in infos)
    if total > max_bytes:
        raise InvalidDataError(
            f"{path.name}: unpacks to {total} bytes; {max_bytes} are allowed. "
            f"Use fewer samples or a directory of .npy files."
        )
    if total > RATIO_FREE_BYTES and total > MAX_RATIO * path.stat().st_size:
        raise InvalidDataError(
            f"{path.name}: unpacks to more than {MAX_RATIO} times its size. If that is meant, "
            f"write it with np.savez (not compressed)."
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        _check_member(info, path)
        key = info.filename.removesuffix(".npy")
        if key in members:
            raise InvalidDataError(f"{path.name}: holds {key!r} twice. Write it again with np.savez.")
        members[key] = info
    return members


def _check_member(info: zipfile.ZipInfo, path: Path) -> None:
    where = f"{path.name}: {info.filename!r}"
    if not info.filename.endswith(".npy"):
        raise InvalidDataError(f"{where} is not an array. Keep only .npy members, as np.savez writes them.")
    if info.flag_bits & 0x1:
        raise InvalidDataError(f"{where} is encrypted. Write it with np.savez.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidDataError(
            f"{where} is packed by method {info.compress_type}. Use np.savez or np.savez_compressed."
        )
    packed = min(info.compress_size, path.stat().st_size)
    if info.file_size > _MAX_DEFLATE_RATIO * packed + 1024:
        raise InvalidDataError(f"{where} claims {info.file_size} bytes from {packed} packed ones, which cannot be.")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Array:
    with archive.open(info) as stream:
        header = read_header(stream, where=where)
        _check_size(header, info, where)
        values = read_values(stream, header, where=where)
        stream.read(1)  # reaching the end makes zipfile compare the checksum
    return values


def _check_size(header: NpyHeader, info: zipfile.ZipInfo, where: str) -> None:
    claimed = header.header_bytes + header.n_bytes
    if claimed != info.file_size:
        raise InvalidDataError(
            f"{where} claims {size_text(header)}, {claimed} bytes with its header, but the file has {info.file_size}. "
            f"It is truncated or damaged; write it again."
        )
