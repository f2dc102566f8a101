import os

import numpy as np
import pytest

from search.data.inputs import InputInfo
from search.errors import InvalidDataError, UsageError
from tests.data.reading import open_documented as open_data

X = InputInfo("x", np.dtype(np.float32), (None, 3))


def test_a_missing_path_is_a_mistake_in_the_request(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.npz: there is no such file or directory"):
        open_data(tmp_path / "nothing.npz", [X])


def test_a_link_to_nothing_is_missing(tmp_path):
    (tmp_path / "a.npz").symlink_to(tmp_path / "gone.npz")
    with pytest.raises(UsageError, match="no such file"):
        open_data(tmp_path / "a.npz", [X])


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is neither a file nor a directory"):
        open_data(tmp_path / "pipe", [X])


def test_an_empty_file_is_content(tmp_path):
    (tmp_path / "a.npz").touch()
    with pytest.raises(InvalidDataError, match=r"a\.npz: is empty"):
        open_data(tmp_path / "a.npz", [X])


def test_an_empty_directory_is_content(tmp_path):
    with pytest.raises(InvalidDataError, match=r"holds neither <input name>/<n>\.npy nor images.*inputs are x"):
        open_data(tmp_path, [X])


def test_a_directory_of_other_arrays_names_the_missing_input(tmp_path):
    (tmp_path / "y").mkdir()
    np.save(tmp_path / "y" / "0.npy", np.zeros(3, np.float32))
    with pytest.raises(InvalidDataError, match="no data for the model input 'x'; found 'y'"):
        open_data(tmp_path, [X])


def test_a_single_array_is_told_how_to_become_a_set(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 3), np.float32))
    with pytest.raises(InvalidDataError, match=r"x\.npy: cannot be read as \.npz.*np\.savez"):
        open_data(tmp_path / "x.npy", [X])


def test_a_npz_is_known_by_its_content_not_its_name(tmp_path):
    with (tmp_path / "data.bin").open("wb") as stream:
        np.savez(stream, x=np.zeros((4, 3), np.uint8))
    source = open_data(tmp_path / "data.bin", [X])
    assert source.batch([0])["x"].dtype == np.float32
    assert source.name == "data.bin"
