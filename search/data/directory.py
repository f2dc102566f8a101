"""Samples as a directory: ``<input name>/<n>.npy``, one sample per file, read when asked for.

A single ``<input name>.npy`` is the value that all samples share. Samples of one input may differ in size.

Labels lie beside them as ``<key>.npy`` (all samples on axis 0) or ``<key>/<n>.npy`` (one sample per file). Files are
taken in the order of the numbers in their names (2 before 10); every input must have the same names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.arrays import Array
from search.data.digest import directory_digest
from search.data.inputs import InputInfo, shape_text
from search.data.names import check_names
from search.data.npy import NpyHeader, read_header, read_values, size_text
from search.data.source import Indices, SampleLayout, index_list
from search.data.stored import StoredRows
from search.errors import InvalidDataError

MAX_FILES = 1_000_000
MAX_SAMPLE_BYTES = 2**30
MAX_LABEL_BYTES = 2 * 2**30


@dataclass(frozen=True, eq=False)
class NpyDirectory:
    """One ``.npy`` file per sample and input.

    Attributes:
        name: What the user knows the set by.
        root: The directory.
        files: Per input, the files in sample order.
        layout: Type and shape of one sample, per input; a size that differs from file to file is None.
        label_files: Per label key, one file with all samples, or one per sample.
        digest: SHA-256 of the content of all files.
    """

    name: str
    root: Path
    files: Mapping[str, tuple[Path, ...]]
    layout: Mapping[str, SampleLayout]
    label_files: Mapping[str, Path | tuple[Path, ...]]
    digest: str

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(next(iter(self.files.values())))

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return tuple(self.label_files)

    def batch(self, indices: Indices) -> dict[str, Array]:
        """Read the inputs of these samples, all of one size.

        Raises:
            InvalidDataError: If a file is damaged.
        """
        numbers = index_list(indices, self.n_samples)
        return {name: self._stack(paths, numbers.tolist(), self.layout[name]) for name, paths in self.files.items()}

    def _stack(self, paths: tuple[Path, ...], numbers: list[int], layout: SampleLayout) -> Array:
        arrays = [_load(paths[number], self.root, MAX_SAMPLE_BYTES) for number in numbers]
        if not arrays:
            return np.empty((0, *(size or 0 for size in layout.shape)), layout.dtype)
        shape = arrays[0].shape[-len(layout.shape) :] if layout.shape else ()  # without a batch axis of 1
        out: Array = np.empty((len(numbers), *shape), layout.dtype)
        for row, array in enumerate(arrays):
            out[row] = array.reshape(shape)
        return out

    def labels(self, key: str) -> Array:
        """Read all labels under ``key``; objects ``[n]``, an array each, where samples differ in size.

        Raises:
            InvalidDataError: If a file is damaged, or the files of one key differ in type or number of axes.
        """
        files = self.label_files[key]
        if isinstance(files, Path):
            return _load(files, self.root, MAX_LABEL_BYTES)
        arrays = [_load(path, self.root, MAX_SAMPLE_BYTES) for path in files]
        kind = [(array.dtype, array.ndim) for array in arrays]
        odd = next((i for i, one in enumerate(kind) if one != kind[0]), None)
        if odd is not None:
            raise InvalidDataError(
                f"{self.name}: {key}/{files[odd].name} is {arrays[odd].dtype} {shape_text(arrays[odd].shape)}, but "
                f"{key}/{files[0].name} is {arrays[0].dtype} of {shape_text(arrays[0].shape)}. "
                "All labels of one key need one type and number of axes."
            )
        if all(array.shape == arrays[0].shape for array in arrays):
            return np.stack(arrays)
        differing = np.empty(len(arrays), np.object_)
        for row, array in enumerate(arrays):
            differing[row] = array
        return differing


def open_directory(root: Path, inputs: Sequence[InputInfo]) -> StoredRows:
    """Read the names and headers of a directory of ``.npy`` files; values are read by ``batch``.

    Args:
        root: The directory.
        inputs: Inputs of the model. A file may hold its sample with or without a batch axis of 1.

    Raises:
        InvalidDataError: If an input has no files, inputs differ in their samples, or a file does not fit the others.
    """
    found = {path.name: path for path in sorted(root.iterdir()) if path.is_dir()}
    samples = {info.name: npy_files(root / info.name) for info in inputs if _is_below(info.name)}
    present = {name: paths for name, paths in samples.items() if paths}
    single = {info.name: root / f"{info.name}.npy" for info in inputs if _is_below(info.name)}
    shared = {name: path for name, path in single.items() if name not in present and path.is_file()}
    known = {**present, **shared}
    check_names(root.name, [*known, *(name for name in found if name not in known)], _without_files(inputs, known))
    if not present:
        raise InvalidDataError(
            f"{root.name}: holds one value for every input and no samples. "
            "Give <input name>/<n>.npy for those that vary."
        )
    _check_same_samples(root, present)
    layout = {info.name: _layout(root, info, present[info.name]) for info in inputs if info.name in present}
    labels = _label_files(root, {Path(name).parts[0] for name in present}, set(shared.values()))
    used = [
        path
        for paths in (*present.values(), *shared.values(), *labels.values())
        for path in ((paths,) if isinstance(paths, Path) else paths)
    ]
    rows = NpyDirectory(root.name, root, present, layout, labels, directory_digest(root, used))
    return StoredRows(rows, {name: _load(path, root, MAX_SAMPLE_BYTES) for name, path in shared.items()})


def npy_files(folder: Path) -> tuple[Path, ...]:
    """Return the ``.npy`` files directly in ``folder`` by the numbers in their names; empty if there are none.

    Raises:
        InvalidDataError: If there are more than a million.
    """
    if not folder.is_dir():
        return ()
    paths = [path for path in folder.iterdir() if path.suffix == ".npy"]
    if len(paths) > MAX_FILES:
        raise InvalidDataError(f"{folder.name}: holds {len(paths)} files; {MAX_FILES} are allowed.")
    return tuple(sorted(paths, key=natural_key))


def natural_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a sort key that compares runs of digits as numbers: ``img_2`` before ``img_10``."""
    parts = re.findall(r"\d+|\D+", path.stem)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), path.name


def _is_below(name: str) -> bool:
    # Input names come from the model file: one like "../x" must not lead out of the directory.
    parts = Path(name).parts
    return bool(parts) and not Path(name).is_absolute() and ".." not in parts


def _without_files(inputs: Sequence[InputInfo], present: Mapping[str, object]) -> list[InputInfo]:
    """Return the inputs with the missing ones first."""
    return sorted(inputs, key=lambda info: info.name in present)


def _check_same_samples(root: Path, files: Mapping[str, tuple[Path, ...]]) -> None:
    (first, first_files), *others = files.items()
    names = {path.name for path in first_files}
    for other, other_files in others:
        different = names.symmetric_difference(path.name for path in other_files)
        if different:
            name = min(different)
            has, lacks = (first, other) if name in names else (other, first)
            raise InvalidDataError(
                f"{root.name}: {has}/{name} has no partner {lacks}/{name}. "
                f"Each sample needs one file per input, equally named."
            )


def _layout(root: Path, info: InputInfo, files: tuple[Path, ...]) -> SampleLayout:
    """Read every header and return what they agree on, without a batch axis of 1; None for sizes that differ."""
    first = _header(files[0], root, MAX_SAMPLE_BYTES)
    shape: tuple[int | None, ...] = first.shape
    for path in files[1:]:
        header = _header(path, root, MAX_SAMPLE_BYTES)
        if header.dtype != first.dtype or len(header.shape) != len(shape):
            raise InvalidDataError(
                f"{root.name}: {_place(path, root)} is {size_text(header)}, but {files[0].name} is {size_text(first)}. "
                f"All samples of one input need one type and number of axes."
            )
        shape = tuple(a if a == b else None for a, b in zip(shape, header.shape, strict=True))
        _check_open(root, info, path, header, shape)
    has_batch_axis = len(shape) == len(info.shape) and shape[:1] == (1,)
    return SampleLayout(first.dtype.newbyteorder("="), shape[1:] if has_batch_axis else shape)


def _check_open(root: Path, info: InputInfo, path: Path, header: NpyHeader, shape: tuple[int | None, ...]) -> None:
    """Refuse sizes that differ where the model has no open size."""
    n_open = sum(size is None for size in info.shape)
    if sum(size is None for size in shape) > n_open:
        raise InvalidDataError(
            f"{root.name}: {_place(path, root)} is {size_text(header)}, another size than the files before, but the "
            f"model input {info.name!r} {shape_text(info.shape)} leaves too few sizes open. Bring all to one shape."
        )


def _label_files(root: Path, taken: set[str], shared: set[Path]) -> dict[str, Path | tuple[Path, ...]]:
    labels: dict[str, Path | tuple[Path, ...]] = {}
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name not in taken and npy_files(path):
            labels[path.name] = npy_files(path)
        elif path.is_file() and path.suffix == ".npy" and path not in shared:
            labels[path.stem] = path
    return labels


def _place(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _header(path: Path, root: Path, max_bytes: int) -> NpyHeader:
    where = f"{root.name}: {_place(path, root)}"
    with path.open("rb") as stream:
        header = read_header(stream, where=where)
    _check_size(header, path, where, max_bytes)
    return header


def _load(path: Path, root: Path, max_bytes: int) -> Array:
    where = f"{root.name}: {_place(path, root)}"
    with path.open("rb") as stream:
        header = read_header(stream, where=where)
        _check_size(header, path, where, max_bytes)
        return read_values(stream, header, where=where)


def _check_size(header: NpyHeader, path: Path, where: str, max_bytes: int) -> None:
    claimed, size = header.header_bytes + header.n_bytes, path.stat().st_size
    if claimed != size:
        raise InvalidDataError(
            f"{where} claims {size_text(header)}, {claimed} bytes with its header, but the file has {size}. "
            f"It is truncated or damaged; write it again with np.save."
        )
    if claimed > max_bytes:
        raise InvalidDataError(f"{where} has {claimed} bytes; {max_bytes} are allowed.")
