"""Samples that a program holds are written once, held against the first batch, and read like any other folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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

    with pytest.raises(InvalidDataError, match="Batch 1: the loader raised RuntimeError: the disk is gone"):
        Samples.from_iterable(ends_early())
    assert list(tmp_path.iterdir()) == []


class Loader:
    """What yields batches and has a length, as a torch DataLoader does."""

    def __init__(self, *passes, length=None):
        self.passes, self.length, self.n = passes, length, 0

    def __len__(self):
        return len(self.passes[0]) if self.length is None else self.length

    def __iter__(self):
        found = self.passes[min(self.n, len(self.passes) - 1)]
        self.n += 1
        return iter(found)


BATCH = {"x": X, "labels": LABELS}


def test_a_loader_that_is_the_same_every_time_is_taken() -> None:
    assert len(Samples.from_loader(Loader([BATCH, BATCH]))) == 12


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        (Loader([BATCH], [{**BATCH, "x": X[::-1]}]), "random: its first batch has other 'x' on a second pass"),
        (Loader([BATCH], [{"x": X + 1e-3, "labels": LABELS}]), "other 'x' on a second pass.*shuffle=False"),
        (Loader([BATCH], length=3), "ended after 1 batches, but its length is 3"),
        (Loader([]), "nothing was yielded"),
        ((BATCH if n < 2 else 1 / 0 for n in range(3)), "Batch 2: the loader raised ZeroDivisionError"),
        ([{"x": X, "labels": [object()] * 6}], "'labels' has type object; samples are arrays of numbers"),
        ([{"x": X, "labels": ["a"] * 6}], "'labels' has type <U1; samples are arrays of numbers"),
    ],
)
def test_a_loader_that_cannot_be_relied_on_is_named(loader, said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        Samples.from_loader(loader)


def test_what_yields_nothing_at_all_is_a_wrong_request() -> None:
    with pytest.raises(UsageError, match="from something that yields batches, not from a int"):
        Samples.from_loader(3)


def test_labels_may_differ_in_size_as_lists() -> None:
    boxes = [np.ones((n, 4), np.float32) for n in (2, 0, 1)]
    samples = Samples.from_iterable([{"x": X[:3], "boxes": boxes}, {"x": X[3:], "boxes": boxes}])
    assert [one.shape for one in opened(samples).labels("boxes")] == [(2, 4), (0, 4), (1, 4)] * 2
    with pytest.raises(InvalidDataError, match="Batch 1: 'boxes' is float32 of any size with 1 axes, but in batch 0"):
        Samples.from_iterable([{"x": X[:3], "boxes": boxes}, {"x": X[3:], "boxes": [one[:, 0] for one in boxes]}])


@pytest.mark.parametrize("form", ["loader", "folder"])
def test_a_function_of_ones_own_prepares_every_sample(form: str) -> None:
    def halved(sample):
        return {**sample, "x": sample["x"] / 2}

    raw = Samples.from_arrays(x=X, labels=LABELS)
    made = (
        Samples.from_loader(batches(4, 2), preprocess=halved)
        if form == "loader"
        else Samples.from_npy_folder(raw.folder, preprocess=halved)
    )
    np.testing.assert_array_equal(opened(made).batch(np.arange(6))["x"], X / 2)
    np.testing.assert_array_equal(opened(made).labels("labels"), LABELS)


def test_a_folder_is_read_where_it_lies() -> None:
    raw = Samples.from_arrays(x=X, labels=LABELS)
    found = Samples.from_npy_folder(raw.folder)
    assert (found.folder, len(found), set(found.names)) == (raw.folder, 6, {"x", "labels"})
    del found
    assert raw.folder.is_dir()
    (raw.folder / "labels/5.npy").unlink()
    with pytest.raises(InvalidDataError, match="labels has 5 files and x 6"):
        Samples.from_npy_folder(raw.folder)
    with pytest.raises(UsageError, match=r"holds no <input>/<n>\.npy"):
        Samples.from_npy_folder(raw.folder / "none")


@pytest.mark.parametrize(
    ("preprocess", "said"),
    [
        (lambda sample: 1 / 0, "Batch 0, sample 0: preprocess raised ZeroDivisionError"),
        (lambda sample: sample["x"], "Batch 0, sample 0: preprocess gave a ndarray, not a mapping"),
    ],
)
def test_a_function_that_fails_is_named_with_the_sample(preprocess, said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        Samples.from_loader(batches(2, 4), preprocess=preprocess)


def test_images_go_through_a_function_once(tmp_path: Path) -> None:
    for name, grey in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        for n in range(2):
            Image.fromarray(np.full((5 + n, 6, 3), grey + n, np.uint8)).save(tmp_path / name / f"{n}.png")
    calls = []

    def prepare(pixels):
        calls.append(pixels.shape)
        return pixels[:4, :4].transpose(2, 0, 1).astype(np.float32) / 255

    samples = Samples.from_images(tmp_path, preprocess=prepare, name="x")
    source = open_documented(samples.folder, [InputInfo("x", np.dtype(np.float32), (None, 3, 4, 4))])
    assert calls == [(5, 6, 3), (6, 6, 3)] * 2
    np.testing.assert_allclose(source.batch(np.arange(4))["x"][:, 0, 0, 0] * 255, [10, 11, 200, 201])
    np.testing.assert_array_equal(source.labels("labels"), [0, 0, 1, 1])
    with pytest.raises(UsageError, match="name the model input it is for, name='x'"):
        Samples.from_images(tmp_path, preprocess=prepare)
    with pytest.raises(InvalidDataError, match=r"cat/0\.png: preprocess raised ValueError: no"):
        Samples.from_images(tmp_path, preprocess=_refuse, name="x")


def _refuse(pixels):
    raise ValueError("no")
