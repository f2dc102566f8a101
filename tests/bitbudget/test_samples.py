"""Samples that a program holds are written once, held against the first batch, and read like any other folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bitbudget import InvalidDataError, Samples, UsageError
from search.data.inputs import InputInfo
from tests.data.reading import open_documented

X = np.arange(2 * 3 * 4, dtype=np.float32).reshape(6, 4)
LABELS = np.arange(6)


def batches(*sizes: int) -> Iterator[dict[str, np.ndarray]]:
    start = 0
    for size in sizes:
        yield {"x": X[start : start + size], "labels": LABELS[start : start + size]}
        start += size


def opened(samples: Samples):
    return open_documented(samples.folder, [InputInfo("x", np.dtype(np.float32), (None, 4))])


@pytest.mark.parametrize("sizes", [(6,), (4, 2), (1,) * 6])
def test_what_is_read_is_what_was_given_however_it_was_batched(sizes: tuple[int, ...]) -> None:
    samples = Samples.from_iterable(batches(*sizes))
    source = opened(samples)
    assert len(samples) == source.n_samples == 6
    np.testing.assert_array_equal(source.batch(np.arange(6))["x"], X)
    np.testing.assert_array_equal(source.labels("labels"), LABELS)
    assert source.digest == opened(Samples.from_arrays(x=X, labels=LABELS)).digest


def test_sequences_take_names() -> None:
    samples = Samples.from_loader([(X, LABELS)], names=["x", "labels"])
    assert samples.names == ("x", "labels")
    with pytest.raises(UsageError, match=r"need names=\[...\]"):
        Samples.from_loader([(X, LABELS)])
    with pytest.raises(InvalidDataError, match="Batch 0 has 2 arrays, but names has 1: x"):
        Samples.from_loader([(X, LABELS)], names=["x"])


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"x": X[:, :3], "labels": LABELS}, r"Batch 1: 'x' is float32 of shape \[3\], but in batch 0 it was"),
        ({"x": X.astype(np.float64), "labels": LABELS}, r"Batch 1: 'x' is float64 of shape \[4\]"),
        ({"x": X}, "Batch 1: 'labels' is missing"),
        ({"x": X, "labels": LABELS[:2]}, "same number of samples on axis 0; got x 6, labels 2"),
        ({"x": np.float32(1), "labels": LABELS}, "x has no axis"),
    ],
)
def test_a_batch_that_changes_is_named(second: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        Samples.from_iterable([{"x": X, "labels": LABELS}, second])


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"x": np.array(["a"])}, "'x' has type <U1; samples are arrays of numbers"),
        ({"x": np.array([None])}, "'x' has type object"),
        ({"../x": X}, "'../x' cannot be the name of a folder"),
        ({}, "got no array"),
    ],
)
def test_what_is_no_sample_is_refused(first: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        Samples.from_iterable([first])


def test_nothing_and_too_much_are_said() -> None:
    with pytest.raises(InvalidDataError, match="nothing was yielded"):
        Samples.from_iterable([])
    with pytest.raises(InvalidDataError, match=r"Batch 1 brings the samples to .* max_bytes is 100"):
        Samples.from_iterable(batches(2, 4), max_bytes=100)


def test_the_files_go_with_the_object_and_when_an_iterable_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    samples = Samples.from_arrays(x=X)
    assert samples.folder.is_dir()
    del samples
    assert list(tmp_path.iterdir()) == []

    def ends_early() -> Iterator[dict[str, np.ndarray]]:
        yield {"x": X}
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        Samples.from_iterable(ends_early())
    assert list(tmp_path.iterdir()) == []
