"""Choosing the reader by what a path is: a ``.npz`` file, a directory of ``.npy`` files, or a directory of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.data.directory import npy_files, open_directory
from search.data.images import DEFAULT_CACHE_BYTES, class_folders, image_files, open_images
from search.data.inputs import InputInfo
from search.data.npz import open_npz
from search.data.stored import Stored, StoredRows
from search.errors import InvalidDataError, UsageError
from search.spec.job import Preprocess


def open_stored(
    path: Path,
    inputs: Sequence[InputInfo],
    preprocess: Preprocess | None = None,
    *,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> Stored:
    """Open a data set as it is stored; how its arrays become samples is found by ``search.runtime.arranging``.

    Args:
        path: File or directory.
        inputs: Inputs of the model that are fed from it.
        preprocess: How images become values; needed for images only.
        cache_bytes: How many bytes of decoded images may be kept.

    Raises:
        UsageError: If there is nothing at ``path``, it may not be read, or images come without ``preprocess``.
        InvalidDataError: If the content cannot be read or lacks an input.
    """
    try:
        return _open(path, inputs, preprocess, cache_bytes)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file or directory. Check the path.") from None
    except PermissionError as error:
        raise UsageError(f"{error.filename or path}: may not be read. Check the permissions.") from None


def _open(path: Path, inputs: Sequence[InputInfo], preprocess: Preprocess | None, cache_bytes: int) -> Stored:
    if not path.exists():
        raise FileNotFoundError(path)
    if path.is_dir():
        return _open_directory(path, inputs, preprocess, cache_bytes)
    if not path.is_file():
        raise UsageError(f"{path}: is neither a file nor a directory.")
    if path.stat().st_size == 0:
        raise InvalidDataError(f"{path.name}: is empty. Write it with np.savez.")
    return open_npz(path, inputs)


def _open_directory(path: Path, inputs: Sequence[InputInfo], preprocess: Preprocess | None, cache_bytes: int) -> Stored:
    has_arrays = any(npy_files(path / info.name) for info in inputs) or any(npy_files(each) for each in path.iterdir())
    if has_arrays:
        return open_directory(path, inputs)
    if not image_files(path) and not class_folders(path):
        raise InvalidDataError(
            f"{path.name}: holds neither <input name>/<n>.npy nor images (.jpg, .jpeg, .png). "
            f"The model's inputs are {', '.join(info.name for info in inputs)}."
        )
    if preprocess is None:
        raise UsageError(
            f"{path.name}: holds images, but the spec has no data.preprocess. "
            f"Say how pixels become values, as in preprocess: {{order: RGB, mean: 127.5, scale: 0.00784}}."
        )
    return StoredRows(open_images(path, inputs, preprocess, cache_bytes=cache_bytes), {})
