"""What every source promises, whatever it reads from."""

import numpy as np
import pytest
from PIL import Image

from search.data.directory import open_directory
from search.data.images import open_images
from search.data.inputs import InputInfo
from search.data.npz import open_npz
from search.data.order import Subset
from search.data.random import random_samples
from search.data.source import index_list
from search.data.stored import StoredRows
from search.spec.job import Preprocess
from tests.data.reading import documented

N = 7
INFO = InputInfo("x", np.dtype(np.float32), (None, 3, 4, 4))


def npz(root):
    np.savez(
        root / "a.npz", x=np.random.default_rng(0).normal(size=(N, 3, 4, 4)).astype(np.float32), labels=np.arange(N)
    )
    return documented(open_npz(root / "a.npz", [INFO]), [INFO])


def directory(root):
    (root / "x").mkdir()
    for number in range(N):
        np.save(root / "x" / f"{number}.npy", np.full((3, 4, 4), number, np.float32))
    np.save(root / "labels.npy", np.arange(N))
    return documented(open_directory(root, [INFO]), [INFO])


def images(root):
    for number in range(N):
        (root / str(number)).mkdir()
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(root / str(number) / "0.png")
    return open_images(root, [INFO], Preprocess(), cache_bytes=100)


def subset(root):
    return Subset(npz(root), np.arange(N, dtype=np.intp)[::-1])


def rows(root):
    return documented(StoredRows(images(root), {}), [INFO])


def random(_):
    return documented(random_samples([INFO], seed=0, n_samples=N), [INFO])


@pytest.fixture(params=[npz, directory, images, subset, rows, random])
def source(request, tmp_path):
    return request.param(tmp_path)


def test_says_what_it_holds(source):
    assert source.n_samples == N
    assert len(source.digest) == 64
    assert source.name
    assert source.layout["x"].shape == (3, 4, 4)
    assert source.layout["x"].dtype == np.float32


def test_gives_the_samples_that_are_asked_for_in_that_order(source):
    whole = source.batch(slice(None))["x"]
    assert whole.shape == (N, 3, 4, 4)
    assert whole.dtype == np.float32
    for wanted in ([4, 0, 4], slice(2, 5), slice(None, None, 3), np.array([6], np.int32), []):
        np.testing.assert_array_equal(
            source.batch(wanted)["x"], whole[wanted] if len(np.shape(wanted)) == 0 else whole[np.asarray(wanted, int)]
        )


def test_a_sample_that_does_not_exist_is_a_mistake_of_the_caller(source):
    for wrong in ([N], [-1]):
        with pytest.raises(IndexError, match=f"Samples are 0 to {N - 1}"):
            source.batch(wrong)


def test_labels_are_there_for_every_key_and_no_other(source):
    for key in source.label_keys:
        assert len(source.labels(key)) == N
    with pytest.raises(KeyError):
        source.labels("nothing")


def test_index_list_counts_slices_like_python():
    assert index_list(slice(-2, None), 5).tolist() == [3, 4]
