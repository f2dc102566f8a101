from __future__ import annotations

import numpy as np
import pytest

from search.calibration.grids import Fixed
from search.errors import UsageError
from search.spec.load import build_job
from search.targets.target import load_target
from search.work.fixing import fixed_tensors, input_tensors, tensor_named
from tests.builders import batch_norm, batch_norm_constants, conv, model, node
from tests.evaluation.loading import load_proto

J6M = load_target("j6m", toolchain=None)


def proto():
    """Float input, integer input that is brought to float, integer input that only picks."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(3, 3, 1, 1)),
        "table": rng.normal(size=(5, 4)),
        **batch_norm_constants("bn", 3, rng),
    }
    nodes = [
        conv("c", "image", "a", weight="w"),
        batch_norm("bn", "a", "b", "bn"),
        node("Relu", "b", "r", "relu"),
        node("Cast", "speed", "f", "cast", to=1),
        node("Mul", "r f", "m", "mul"),
        node("Gather", "table ids", "e", "pick"),
        node("Add", "m e", "y", "add"),
    ]
    inputs = ["image[N,3,4,4]", "speed:uint8[N,3,1,1]", "ids:int64[N,3,4]"]
    return model(nodes, inputs, ["y[N,3,4,4]"], constants)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    feeds = {
        "image": np.ones((2, 3, 4, 4), np.float32),
        "speed": np.ones((2, 3, 1, 1), np.uint8),
        "ids": np.ones((2, 3, 4), np.int64),
    }
    return load_proto(proto(), feeds, tmp_path_factory.mktemp("fixing"))


def fixed(loaded, **spec):
    data = {"calibration": "c.npz", "evaluation": "e.npz"}
    job = build_job({"schema": "bitbudget.job/1", "model": "m.onnx", "data": data, "target": {"name": "j6m"}, **spec})
    return fixed_tensors(job, J6M, loaded)


def test_inputs_are_found_by_name_also_where_a_cast_brings_them_to_float(loaded):
    tensors = loaded.structure.network.tensors
    assert [tensors[t].name for t in input_tensors(loaded, "image")] == ["image"]
    assert [tensors[t].name for t in input_tensors(loaded, "speed")] == ["f"]
    assert input_tensors(loaded, "ids") == ()


def test_ranges_and_whole_numbers_of_inputs(loaded):
    (image,), (speed,) = input_tensors(loaded, "image"), input_tensors(loaded, "speed")
    assert fixed(loaded, inputs={"image": {"quantize": False}, "speed": {"range": [0, 200]}}) == {
        image: Fixed(exact=True),
        speed: Fixed(range=(0, 200)),
    }
    assert fixed(loaded, inputs={"ids": {"quantize": False}, "image": {}}) == {}


def test_overrides_beat_what_an_input_declares(loaded):
    (image,) = input_tensors(loaded, "image")
    found = fixed(loaded, inputs={"image": {"range": [0, 1]}}, calibration={"overrides": {"image": {"method": "mse"}}})
    assert found == {image: Fixed(method="mse")}


def test_a_tensor_goes_by_the_users_name_too(loaded):
    # BatchNormalization is folded into the Conv, so "b" is what the prepared Conv or Relu writes.
    group = loaded.structure.network.tensors[tensor_named(loaded, "r")]
    assert group.op_name == "c"
    assert "y" in loaded.structure.tensor_of


def test_renamed_values_are_found(loaded):
    for users, now in loaded.value_names.items():
        if now in loaded.structure.tensor_of:
            assert tensor_named(loaded, users) == loaded.structure.tensor_of[now]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"inputs": {"imag": {}}}, r"no input 'imag' \(did you mean 'image'\?\); it has image, speed, ids"),
        (
            {"inputs": {"image": {"range": [0, 1], "quantize": False}}},
            r"inputs.image: give a range, or quantize: false, not both",
        ),
        (
            {"calibration": {"overrides": {"imagee": {"scale": 0.1}}}},
            r"no tensor 'imagee' \(did you mean 'image'\?\)",
        ),
        ({"calibration": {"overrides": {"table": {"scale": 0.1}}}}, r"'table' is a constant; its scales follow from"),
        ({"calibration": {"weights": {"symmetric": False}}}, r"weights of target 'j6m' have no zero point; use auto"),
    ],
)
def test_what_does_not_fit_the_model_or_target_is_an_error(loaded, spec, message):
    with pytest.raises(UsageError, match=message):
        fixed(loaded, **spec)
