import numpy as np
import pytest

from search.data.inputs import InputInfo
from search.data.names import check_names
from search.errors import InvalidDataError
from tests.data.reading import arrays, documented

ALLOWED = ["uint8 float32", "int8 float32", "float16 float32", "uint8 int32", "int32 int64", "bool float32"]
REFUSED = [
    "float64 float32",
    "int32 float32",
    "int64 int32",
    "float32 float16",
    "float32 uint8",
    "int8 uint8",
    "uint8 int8",
    "uint8 bool",
]


def fit_source(stored, inputs):
    check_names(stored.name, stored.shapes, inputs)
    return documented(stored, inputs)


def info(dtype="float32", shape=(None, 3, 4, 5), name="x"):
    return InputInfo(name, np.dtype(dtype), shape)


@pytest.mark.parametrize(("have", "want"), [pair.split() for pair in ALLOWED])
def test_casts_that_keep_every_value_happen(have, want):
    stored = np.array([[0], [1], [100]]).astype(have)
    fitted = fit_source(arrays(x=stored), [info(want, (None, 1))])
    got = fitted.batch([2, 0])["x"]
    assert got.dtype == want
    np.testing.assert_array_equal(got, stored[[2, 0]])
    assert fitted.layout["x"].dtype == want


@pytest.mark.parametrize(("have", "want"), [pair.split() for pair in REFUSED])
def test_casts_that_could_lose_values_are_refused(have, want):
    with pytest.raises(
        InvalidDataError, match=rf"eval\.npz: 'x' is {have}, but the model wants {want}.*astype\(np\.{want}\)"
    ):
        fit_source(arrays(x=np.zeros((2, 1), have)), [info(want, (None, 1))])


def test_an_array_of_the_right_type_is_not_copied():
    x = np.zeros((2, 1), np.float32)
    assert np.shares_memory(fit_source(arrays(x=x), [info(shape=(None, 1))]).batch(slice(0, 2))["x"], x)


@pytest.mark.parametrize("shape", [(None, 3, 4, 5), (1, 3, 4, 5), (None, None, None, None), (None, 3, None, 5)])
def test_dynamic_sizes_and_the_batch_axis_fit_anything(shape):
    fit_source(arrays(x=np.zeros((7, 3, 4, 5), np.float32)), [info(shape=shape)])


def test_a_scalar_input_takes_one_number_per_sample():
    assert fit_source(arrays(x=np.zeros(4, np.float32)), [info(shape=())]).n_samples == 4


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((7, 4, 5, 3), "looks like NHWC: x.transpose"),
        ((3, 4, 5), r"add the sample axis: x\[None\]"),
        ((7, 3, 4, 6), "Bring each sample"),
    ],
)
def test_a_wrong_shape_says_what_is_wanted(shape, hint):
    with pytest.raises(InvalidDataError, match=rf"'x' is \[.*the model wants \[N, 3, 4, 5\]. .*{hint}"):
        fit_source(arrays(x=np.zeros(shape, np.float32)), [info()])


def test_channels_first_data_for_a_channels_last_model_gets_a_hint_that_works():
    x = np.zeros((7, 3, 4, 5), np.float32)
    with pytest.raises(InvalidDataError, match=r"looks like NCHW: x\.transpose\(0, 2, 3, 1\)"):
        fit_source(arrays(x=x), [info(shape=(None, 4, 5, 3))])
    fit_source(arrays(x=x.transpose(0, 2, 3, 1)), [info(shape=(None, 4, 5, 3))])


def test_the_hint_for_channels_last_data_works():
    fit_source(arrays(x=np.zeros((7, 4, 5, 3), np.float32).transpose(0, 3, 1, 2)), [info()])


def test_samples_may_keep_a_batch_axis_of_one():
    assert fit_source(arrays(x=np.zeros((7, 1, 3, 4, 5), np.float32)), [info()]).batch([0, 1])["x"].shape == (
        2,
        3,
        4,
        5,
    )


def test_a_missing_input_is_refused():
    with pytest.raises(InvalidDataError, match="no data for the model input 'y'"):
        fit_source(arrays(x=np.zeros((1, 3, 4, 5), np.float32)), [info(), info(name="y")])
