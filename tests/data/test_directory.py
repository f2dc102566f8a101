import numpy as np
import pytest

from search.data.directory import open_directory
from search.data.inputs import InputInfo
from search.errors import InvalidDataError
from tests.data.reading import documented
from tests.data.reading import open_documented as open_data

X = InputInfo("x", np.dtype(np.float32), (None, 2, 3))
S = InputInfo("s", np.dtype(np.float32), (None, 1))


def write(root, name, arrays):
    (root / name).mkdir(parents=True, exist_ok=True)
    for number, array in enumerate(arrays):
        np.save(root / name / f"{number}.npy", array)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(12, 2, 3)).astype(np.float32)


def test_files_are_samples_in_the_order_of_their_numbers(tmp_path, x):
    write(tmp_path, "x", x)
    source = documented(open_directory(tmp_path, [X]), [X])
    assert source.n_samples == 12
    np.testing.assert_array_equal(source.batch(slice(None))["x"], x)
    np.testing.assert_array_equal(source.batch([11, 2, 10])["x"], x[[11, 2, 10]])


def test_a_file_may_have_a_batch_axis_of_one(tmp_path, x):
    write(tmp_path, "x", x[:, None])
    source = documented(open_directory(tmp_path, [X]), [X])
    assert source.layout["x"].shape == (2, 3)
    np.testing.assert_array_equal(source.batch(slice(3, 5))["x"], x[3:5])


def test_labels_are_one_file_or_one_file_per_sample(tmp_path, x):
    write(tmp_path, "x", x)
    write(tmp_path, "labels_xy", [np.array([i, -i], np.float32) for i in range(12)])
    np.save(tmp_path / "labels.npy", np.arange(12))
    source = documented(open_directory(tmp_path, [X]), [X])
    assert set(source.label_keys) == {"labels", "labels_xy"}
    np.testing.assert_array_equal(source.labels("labels"), np.arange(12))
    np.testing.assert_array_equal(source.labels("labels_xy")[10], [10, -10])


def test_several_inputs_are_matched_by_file_name(tmp_path, x):
    write(tmp_path, "x", x)
    write(tmp_path, "s", np.ones((12, 1), np.float32))
    assert set(documented(open_directory(tmp_path, [X, S]), [X, S]).batch([0])) == {"x", "s"}
    (tmp_path / "s" / "3.npy").unlink()
    with pytest.raises(InvalidDataError, match=r"x/3\.npy has no partner s/3\.npy"):
        documented(open_directory(tmp_path, [X, S]), [X, S])


def test_the_digest_follows_content_and_names_but_not_the_place(tmp_path, x):
    for root in ("a", "b", "c"):
        write(tmp_path / root, "x", x)
    np.save(tmp_path / "c" / "x" / "0.npy", x[1])
    digests = [documented(open_directory(tmp_path / root, [X]), [X]).digest for root in ("a", "b", "c")]
    assert digests[0] == digests[1] != digests[2]


def test_an_input_name_cannot_lead_out_of_the_directory(tmp_path, x):
    write(tmp_path, "outside", x)
    (tmp_path / "data").mkdir()
    for name in ("../outside", str(tmp_path / "outside"), "", ".."):
        with pytest.raises(InvalidDataError, match="has no data for the model input"):
            documented(
                open_directory(tmp_path / "data", [InputInfo(name, X.dtype, X.shape)]),
                [InputInfo(name, X.dtype, X.shape)],
            )


def test_an_input_name_with_a_slash_is_a_folder_in_a_folder(tmp_path, x):
    write(tmp_path, "scope/x", x)
    source = documented(
        open_directory(tmp_path, [InputInfo("scope/x", X.dtype, X.shape)]), [InputInfo("scope/x", X.dtype, X.shape)]
    )
    assert source.n_samples == 12
    assert source.label_keys == ()


def test_an_input_without_files_is_named(tmp_path, x):
    write(tmp_path, "x", x)
    with pytest.raises(InvalidDataError, match="no data for the model input 's'; found 'x'"):
        documented(open_directory(tmp_path, [X, S]), [X, S])


def test_all_samples_need_one_shape_and_type(tmp_path, x):
    write(tmp_path, "x", x)
    np.save(tmp_path / "x" / "7.npy", x[7].T)
    with pytest.raises(InvalidDataError, match=r"x/7\.npy is float32 \[3, 2\], another size than the files before"):
        documented(open_directory(tmp_path, [X]), [X])


def test_a_truncated_file_is_named(tmp_path, x):
    write(tmp_path, "x", x)
    path = tmp_path / "x" / "5.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InvalidDataError, match=r"x/5\.npy claims float32 \[2, 3\].*truncated"):
        documented(open_directory(tmp_path, [X]), [X])


def test_a_file_that_is_cut_after_opening_is_named(tmp_path, x):
    write(tmp_path, "x", x)
    source = documented(open_directory(tmp_path, [X]), [X])
    path = tmp_path / "x" / "5.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InvalidDataError, match=r"x/5\.npy claims"):
        source.batch([5])


def test_object_arrays_are_refused(tmp_path):
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x" / "0.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(InvalidDataError, match="Python objects"):
        documented(open_directory(tmp_path, [X]), [X])


def test_labels_of_one_key_may_differ_in_size(tmp_path, x):
    write(tmp_path, "x", x[:2])
    write(tmp_path, "boxes", [np.zeros((2, 4)), np.ones((0, 4))])
    found = documented(open_directory(tmp_path, [X]), [X]).labels("boxes")
    assert [one.shape for one in found] == [(2, 4), (0, 4)]


@pytest.mark.parametrize(
    ("second", "said"), [(np.zeros((2, 1)), r"float64 \[2, 1\]"), (np.zeros(2, np.int64), r"int64 \[2\]")]
)
def test_labels_of_one_key_need_one_type_and_number_of_axes(tmp_path, x, second, said):
    write(tmp_path, "x", x[:2])
    write(tmp_path, "labels", [np.zeros(2), second])
    with pytest.raises(InvalidDataError, match=rf"labels/1\.npy is {said}, but labels/0\.npy is float64 of \[2\]"):
        documented(open_directory(tmp_path, [X]), [X]).labels("labels")


def test_is_chosen_by_what_the_directory_holds(tmp_path, x):
    write(tmp_path, "x", x)
    assert open_data(tmp_path, [X]).n_samples == 12


def test_samples_of_several_sizes_go_into_a_model_that_leaves_them_open(tmp_path):
    (tmp_path / "x").mkdir()
    sizes = [3, 5, 3]
    for number, size in enumerate(sizes):
        np.save(tmp_path / "x" / f"{number}.npy", np.full((size, 2), number, np.float32))
    inputs = [InputInfo("x", X.dtype, (None, None, 2))]
    source = documented(open_directory(tmp_path, inputs), inputs)
    assert source.differs
    assert [source.batch([n])["x"].shape for n in range(3)] == [(1, size, 2) for size in sizes]


def test_one_file_beside_the_folders_is_the_value_of_every_sample(tmp_path, x):
    write(tmp_path, "x", x)
    np.save(tmp_path / "s.npy", np.ones(1, np.float32))
    stored = open_directory(tmp_path, [X, S])
    assert (stored.shapes["s"], stored.source.label_keys) == ((1,), ())
    assert stored.shared["s"] == 1
