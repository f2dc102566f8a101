"""Samples that a program gives: arrays, a loader, a folder, images. The search reads files, which may exceed memory.

What is not in files of a form the search reads is written to a temporary folder, sample by sample, once. The digest of
such a folder is that of its content, so the same samples go on with the same run.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitbudget._spool import Batch, Rows, Writer, check_repeats, named, numbered
from search.data.directory import natural_key
from search.data.images import SUFFIXES, files_and_labels
from search.data.pixels import read_pixels
from search.errors import InvalidDataError, UsageError
from search.spec.job import Preprocess

DEFAULT_MAX_BYTES = 20 * 2**30
_AS_STORED = Preprocess(order="RGB")
Array = npt.NDArray[Any]
Sample = dict[str, Array]


class Samples:
    """A set of samples in files; those it wrote itself go when the object goes.

    Attributes:
        folder: Where they lie.
        n_samples: How many.
        names: Model inputs and label arrays, in the order they were given.
    """

    def __init__(self, folder: Path, n_samples: int, names: tuple[str, ...], *, is_own: bool = True) -> None:
        self.folder = folder
        self.n_samples = n_samples
        self.names = names
        if is_own:
            self._end = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.n_samples

    def __repr__(self) -> str:
        return f"Samples({self.n_samples} of {', '.join(self.names)})"

    @classmethod
    def from_arrays(cls, **arrays: npt.ArrayLike) -> Samples:
        """Take arrays by name: model inputs, and labels under any other name (``labels`` by default in a goal).

        Args:
            arrays: Each with samples on axis 0.

        Raises:
            InvalidDataError: If they do not have the same number of samples, or have none.
        """
        return cls.from_iterable([arrays])

    @classmethod
    def from_iterable(
        cls,
        batches: Iterable[Batch],
        *,
        names: Sequence[str] | None = None,
        preprocess: Callable[[Sample], Mapping[str, npt.ArrayLike]] | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Samples:
        """Take what an iterable yields, batch by batch: a torch DataLoader, a tf.data set, a generator.

        Where it can be gone through twice, its first batch is looked at again: a loader that shuffles or augments is
        refused.

        Args:
            batches: Each a mapping from name to array, or a sequence of arrays in the order of ``names``; samples on
                axis 0, or a list of one array per sample where they differ in size.
            names: For sequences: the names of their arrays.
            preprocess: From one sample, name to array without a batch axis, to what is kept of it.
            max_bytes: Most bytes of samples to write.

        Raises:
            InvalidDataError: If a batch changes names, types or the shape of a sample, has arrays of different length,
                is too large for the limit, or nothing was yielded; if the loader raises, ends early, or is random;
                names the batch.
            UsageError: If sequences come without ``names``.
        """
        first: dict[str, Rows] = {}

        def given() -> Iterator[dict[str, Rows]]:
            for number, batch in numbered(batches):
                rows = named(batch, names, number)
                if number == 0 and not isinstance(batches, list | tuple):
                    first.update({name: _copied(one) for name, one in rows.items()})
                yield rows if preprocess is None else _preprocessed(rows, preprocess, number)
            if not isinstance(batches, list | tuple):
                check_repeats(batches, first, names)

        return cls._written(given(), max_bytes)

    from_loader = from_iterable

    @classmethod
    def from_npy_folder(
        cls,
        folder: str | Path,
        *,
        preprocess: Callable[[Sample], Mapping[str, npt.ArrayLike]] | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Samples:
        """Take a folder ``<input or label>/<n>.npy``; read where it lies, unless it is preprocessed.

        Args:
            folder: The folder; files are taken in the order of the numbers in their names.
            preprocess: From one sample, name to array, to what is kept of it.
            max_bytes: Most bytes of preprocessed samples to write.

        Raises:
            UsageError: If it is no such folder.
            InvalidDataError: If arrays differ in their samples, or a file cannot be read.
        """
        files = _npy_files(Path(folder))
        n_samples = len(next(iter(files.values())))
        if preprocess is None:
            return cls(Path(folder), n_samples, tuple(files), is_own=False)

        def given() -> Iterator[dict[str, Rows]]:
            for n in range(n_samples):
                sample = {name: _loaded(paths[n]) for name, paths in files.items()}
                yield {name: one[np.newaxis] for name, one in _kept(sample, preprocess, f"Sample {n}").items()}

        return cls._written(given(), max_bytes)

    @classmethod
    def from_images(
        cls,
        folder: str | Path,
        *,
        preprocess: Callable[[Array], npt.ArrayLike | Mapping[str, npt.ArrayLike]],
        name: str | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Samples:
        """Take a folder of images through a function of your own; each is decoded once.

        Labels are those of ``labels.csv``, or the folders the images lie in.

        Args:
            folder: The folder.
            preprocess: From pixels, uint8 ``[height, width, 3]`` in the order RGB, to the model input, or to a mapping
                from name to array.
            name: Of the model input, where ``preprocess`` returns an array.
            max_bytes: Most bytes of samples to write.

        Raises:
            UsageError: If it is no folder, or the name of the input is missing.
            InvalidDataError: If there is no image, or one cannot be read; names it.
        """
        root = Path(folder)
        files, labels = _images(root)

        def given() -> Iterator[dict[str, Rows]]:
            for n, path in enumerate(files):
                where = f"{root.name}: {path.relative_to(root).as_posix()}"
                pixels = read_pixels(path, _AS_STORED, n_channels=3, where=where)
                made = _called(preprocess, pixels, where)
                kept = made if isinstance(made, Mapping) else {_input_name(name): made}
                sample = {str(key): np.asarray(one)[np.newaxis] for key, one in kept.items()}
                yield {**sample, **{key: values[n : n + 1] for key, values in labels.items()}}

        return cls._written(given(), max_bytes)

    @classmethod
    def _written(cls, batches: Iterator[dict[str, Rows]], max_bytes: int) -> Samples:
        writer = Writer(Path(tempfile.mkdtemp(prefix="bitbudget-samples-")), max_bytes)
        try:
            for number, batch in enumerate(batches):
                writer.add(batch, number)
            n_samples, names = writer.finish()
        except BaseException:
            shutil.rmtree(writer.folder, ignore_errors=True)
            raise
        return cls(writer.folder, n_samples, names)


def _copied(rows: Rows) -> Rows:
    """A copy: loaders may fill the same memory again."""
    return [np.array(one) for one in rows] if isinstance(rows, list) else np.array(rows)


def _preprocessed(
    batch: dict[str, Rows], preprocess: Callable[[Sample], Mapping[str, npt.ArrayLike]], number: int
) -> dict[str, Rows]:
    """Every sample of a batch through the user's own function."""
    lengths = {len(rows) if isinstance(rows, list) or rows.ndim else 0 for rows in batch.values()}
    if len(lengths) != 1:
        return batch  # the writer says what is wrong
    made = [
        _kept({name: np.asarray(rows[n]) for name, rows in batch.items()}, preprocess, f"Batch {number}, sample {n}")
        for n in range(lengths.pop())
    ]
    return {name: _together([one[name] for one in made]) for name in made[0]} if made else batch


def _together(rows: list[Array]) -> Rows:
    """One array of samples of one size and type; a list of those that differ."""
    return np.stack(rows) if len({(row.shape, row.dtype) for row in rows}) == 1 else rows


def _kept(sample: Sample, preprocess: Callable[[Sample], Mapping[str, npt.ArrayLike]], where: str) -> dict[str, Array]:
    made = _called(preprocess, sample, where)
    if not isinstance(made, Mapping):
        raise InvalidDataError(f"{where}: preprocess gave a {type(made).__name__}, not a mapping from name to array.")
    return {str(name): np.asarray(one) for name, one in made.items()}


def _called(function: Callable[[Any], Any], given: Any, where: str) -> Any:
    try:
        return function(given)
    except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
        raise InvalidDataError(f"{where}: preprocess raised {type(error).__name__}: {error}") from None


def _input_name(name: str | None) -> str:
    if name is None:
        raise UsageError("preprocess returns an array: name the model input it is for, name='x'.")
    return name


def _npy_files(root: Path) -> dict[str, tuple[Path, ...]]:
    """Array to its files in the order of their numbers.

    Raises:
        UsageError: If there are none.
        InvalidDataError: If arrays differ in their samples.
    """
    paths: dict[str, list[Path]] = {}
    for path in root.rglob("*.npy") if root.is_dir() else ():
        if path.parent != root:
            paths.setdefault(path.parent.relative_to(root).as_posix(), []).append(path)
    if not paths:
        raise UsageError(f"{str(root)!r} holds no <input>/<n>.npy. Check the path.")
    found = {name: tuple(sorted(some, key=natural_key)) for name, some in sorted(paths.items())}
    names = {name: [path.name for path in some] for name, some in found.items()}
    first = next(iter(names))
    odd = next((name for name in names if names[name] != names[first]), None)
    if odd is not None:
        raise InvalidDataError(
            f"{root.name}: {first} has {len(names[first])} files and {odd} {len(names[odd])}; every sample needs one "
            "file in each, equally named."
        )
    return found


def _loaded(path: Path) -> Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InvalidDataError(f"{path.parent.name}/{path.name}: cannot be read: {error}") from None


def _images(root: Path) -> tuple[tuple[Path, ...], dict[str, Array]]:
    """Images of a folder in order, and labels per key.

    Raises:
        UsageError: If it is no folder.
        InvalidDataError: If there is no image, or labels do not fit.
    """
    if not root.is_dir():
        raise UsageError(f"{str(root)!r} is no folder. Check the path.")
    files, labels = files_and_labels(root)
    if not files:
        raise InvalidDataError(f"{root.name}: holds no image ({', '.join(SUFFIXES)}).")
    return files, labels
