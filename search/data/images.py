"""Samples as a directory of JPEG or PNG files: ``x = (pixel - mean) * scale``, decoded when asked for.

Labels, under the key ``labels``: one folder per class (a folder named by a number is that class; other names count
from 0 in sorted order), or a ``labels.csv`` with ``file,label`` lines. A header line gives further columns as further
keys. Decoded pixels are kept as uint8 up to a byte budget; nothing else stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.data.digest import directory_digest
from search.data.directory import MAX_FILES, natural_key
from search.data.inputs import InputInfo, shape_text
from search.data.labels_csv import CSV_NAME, read_labels_csv
from search.data.pixels import read_pixels, read_size, size_after
from search.data.source import Indices, SampleLayout, index_list
from search.errors import InvalidDataError
from search.spec.job import Preprocess

SUFFIXES = (".jpg", ".jpeg", ".png")
DEFAULT_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class ImageDirectory:
    """One image file per sample, for a model with one input.

    Attributes:
        name: What the user knows the set by.
        root: The directory.
        files: Files in sample order.
        input_name: The model input they feed.
        sample: Type and shape of one sample, channels where ``preprocess.layout`` puts them.
        preprocess: How pixels become values.
        label_arrays: Per label key, one number per file.
        digest: SHA-256 of the content of all files.
        cache_bytes: How many bytes of decoded pixels may be kept.
    """

    name: str
    root: Path
    files: tuple[Path, ...]
    input_name: str
    sample: SampleLayout
    preprocess: Preprocess
    label_arrays: Mapping[str, Array]
    digest: str
    cache_bytes: int = DEFAULT_CACHE_BYTES
    _cache: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.files)

    @property
    def layout(self) -> dict[str, SampleLayout]:
        """Type and shape of one sample of the one input."""
        return {self.input_name: self.sample}

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return tuple(self.label_arrays)

    def labels(self, key: str) -> Array:
        """Return all labels under ``key``."""
        return self.label_arrays[key]

    def batch(self, indices: Indices) -> dict[str, Array]:
        """Decode the images of these samples, all of one size.

        Raises:
            InvalidDataError: If an image is damaged; the message names the file.
        """
        numbers = index_list(indices, self.n_samples).tolist()
        if not numbers:
            return {self.input_name: np.empty((0, *(size or 0 for size in self.sample.shape)), self.sample.dtype)}
        first = self._values(self._pixels(numbers[0]))
        out: Array = np.empty((len(numbers), *first.shape), self.sample.dtype)
        out[0] = first
        for row, number in enumerate(numbers[1:], start=1):
            out[row] = self._values(self._pixels(number))
        return {self.input_name: out}

    def _pixels(self, number: int) -> npt.NDArray[np.uint8]:
        cached = self._cache.get(number)
        if cached is not None:
            return cached
        where = _where(self.files[number], self.root)
        pixels = read_pixels(self.files[number], self.preprocess, n_channels=self._n_channels, where=where)
        if sum(kept.nbytes for kept in self._cache.values()) + pixels.nbytes <= self.cache_bytes:
            self._cache[number] = np.ascontiguousarray(pixels)
        return pixels

    @property
    def _n_channels(self) -> int:
        size = self.sample.shape[0 if self.preprocess.layout == "NCHW" else -1]
        return 1 if size == 1 else 3

    def _values(self, pixels: npt.NDArray[np.uint8]) -> Array:
        ordered = pixels.transpose(2, 0, 1) if self.preprocess.layout == "NCHW" else pixels
        if self.sample.dtype == np.uint8:
            return ordered
        per_channel = (-1, 1, 1) if self.preprocess.layout == "NCHW" else (1, 1, -1)
        mean = np.asarray(self.preprocess.mean, np.float32).reshape(per_channel)
        scale = np.asarray(self.preprocess.scale, np.float32).reshape(per_channel)
        return (ordered.astype(np.float32) - mean) * scale


def open_images(
    root: Path, inputs: Sequence[InputInfo], preprocess: Preprocess, *, cache_bytes: int = DEFAULT_CACHE_BYTES
) -> ImageDirectory:
    """Read the names and headers of a directory of images; pixels are decoded by ``batch``.

    Values are float32, or uint8 where the model wants uint8 and ``preprocess`` leaves pixels as they are.

    Args:
        root: The directory.
        inputs: Inputs of the model; there must be one, of rank 4 (3 without a batch axis) with 1 or 3 channels.
        preprocess: How pixels become values.
        cache_bytes: How many bytes of decoded pixels may be kept.

    Raises:
        InvalidDataError: If the model takes no single image, there is none, labels do not fit the files, or sizes
        differ.
    """
    info = _image_input(root, inputs)
    n_channels = _channels(root, info, preprocess)
    files, labels = files_and_labels(root)
    height, width = _common_size(root, info, files, preprocess)
    shape: tuple[int | None, ...] = (
        (n_channels, height, width) if preprocess.layout == "NCHW" else (height, width, n_channels)
    )
    as_stored = info.dtype == np.uint8 and preprocess.mean == 0 and preprocess.scale == 1
    used = (*files, *(path for path in [root / CSV_NAME] if path.is_file()))
    return ImageDirectory(
        name=root.name,
        root=root,
        files=files,
        input_name=info.name,
        sample=SampleLayout(np.dtype(np.uint8 if as_stored else np.float32), shape),
        preprocess=preprocess,
        label_arrays=labels,
        digest=directory_digest(root, used),
        cache_bytes=cache_bytes,
    )


def image_files(folder: Path) -> tuple[Path, ...]:
    """Return the images directly in ``folder``, 2 before 10.

    Raises:
        InvalidDataError: If there are more than a million.
    """
    paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    if len(paths) > MAX_FILES:
        raise InvalidDataError(f"{folder.name}: holds {len(paths)} images; {MAX_FILES} are allowed.")
    return tuple(sorted(paths, key=natural_key))


def class_folders(root: Path) -> tuple[Path, ...]:
    """Return the folders directly in ``root`` that hold images."""
    return tuple(path for path in sorted(root.iterdir(), key=natural_key) if path.is_dir() and image_files(path))


def _where(path: Path, root: Path) -> str:
    return f"{root.name}: {path.relative_to(root).as_posix()}"


def _image_input(root: Path, inputs: Sequence[InputInfo]) -> InputInfo:
    if len(inputs) != 1:
        names = ", ".join(info.name for info in inputs)
        raise InvalidDataError(
            f"{root.name}: an image directory feeds one input, but the model has {len(inputs)} ({names}). "
            f"Use a .npz file, or give the others with inputs.<name>.constant."
        )
    if len(inputs[0].shape) not in (3, 4):
        raise InvalidDataError(
            f"{root.name}: images need an input of rank 4, or 3 without a batch axis, but "
            f"{inputs[0].name!r} is {shape_text(inputs[0].shape)}. Use a .npz file."
        )
    return inputs[0]


def _channels(root: Path, info: InputInfo, preprocess: Preprocess) -> int:
    size = info.shape[-3 if preprocess.layout == "NCHW" else -1]
    if size not in (None, 1, 3):
        raise InvalidDataError(
            f"{root.name}: with data.preprocess.layout {preprocess.layout} the model input {info.name!r} "
            f"{shape_text(info.shape)} has "
            f"{size} channels; images have 1 or 3. Use the other layout or a .npz file."
        )
    n_channels = 3 if size is None else size
    for name in ("mean", "scale"):
        value = getattr(preprocess, name)
        if isinstance(value, tuple) and len(value) not in (1, n_channels):
            raise InvalidDataError(
                f"{root.name}: data.preprocess.{name} has {len(value)} numbers for {n_channels} channels."
            )
    return n_channels


def files_and_labels(root: Path) -> tuple[tuple[Path, ...], dict[str, Array]]:
    """Return the images of a folder in order, and labels per key: of ``labels.csv``, or by the folders they lie in.

    Raises:
        InvalidDataError: If images lie in folders and beside them without ``labels.csv``, or its lines do not fit.
    """
    direct, folders = image_files(root), class_folders(root)
    if (root / CSV_NAME).is_file():
        files = (*direct, *(path for folder in folders for path in image_files(folder)))
        return files, read_labels_csv(root, files)
    if direct and folders:
        raise InvalidDataError(
            f"{root.name}: holds images and folders of images ({folders[0].name}). Keep one kind, or add a {CSV_NAME}."
        )
    if direct:
        return direct, {}
    by_folder = [image_files(folder) for folder in folders]
    classes = _class_numbers([folder.name for folder in folders])
    labels = np.repeat(np.array(classes, np.int64), [len(files) for files in by_folder])
    return tuple(path for files in by_folder for path in files), {"labels": labels}


def _class_numbers(names: list[str]) -> list[int]:
    if all(name.isdecimal() for name in names):
        return [int(name) for name in names]
    return [sorted(names).index(name) for name in names]


def _common_size(
    root: Path, info: InputInfo, files: tuple[Path, ...], preprocess: Preprocess
) -> tuple[int | None, int | None]:
    """Height and width of all images after preprocessing; None where they differ and the model leaves it open."""
    if not files:
        raise InvalidDataError(f"{root.name}: holds no image ({', '.join(SUFFIXES)}).")
    sizes = [size_after(read_size(path, where=_where(path, root)), preprocess) for path in files]
    first = sizes[0]
    sides = info.shape[-2:] if preprocess.layout == "NCHW" else info.shape[-3:-1]
    for path, size in zip(files, sizes, strict=True):
        if any(a != b and side is not None for a, b, side in zip(size, first, sides, strict=True)):
            raise InvalidDataError(
                f"{_where(path, root)}: is {size[0]} x {size[1]} after preprocess, but "
                f"{files[0].name} is {first[0]} x {first[1]}. "
                f"Set data.preprocess.resize and crop to bring all to one size."
            )
    height, width = ({size[side] for size in sizes} for side in (0, 1))
    return (height.pop() if len(height) == 1 else None), (width.pop() if len(width) == 1 else None)
