from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest

from search.errors import InvalidModelError, UnsupportedModelError, UsageError
from search.graph.limits import Limits
from search.graph.load import InputInfo, read_model
from tests.builders import conv, graph, model, node, run, save


def small(opset=17, **changes):
    weight = changes.pop("weight", np.ones((2, 3, 1, 1), np.float32))
    return model([conv("c", "x", "y", weight="w")], ["x[N,3,4,4]"], ["y[N,2,4,4]"], {"w": weight}, opset=opset)


def test_reads_inputs_outputs_opset_and_digest(tmp_path):
    path = save(small(), tmp_path)
    user = read_model(path)
    assert user.inputs == (InputInfo("x", "float32", (None, 3, 4, 4)),)
    assert [(o.name, o.dtype, o.shape) for o in user.outputs] == [("y", "float32", (None, 2, 4, 4))]
    assert (user.opset, user.digest) == (17, hashlib.sha256(path.read_bytes()).hexdigest())
    assert user.proto == small()


def test_an_initializer_that_is_listed_as_input_is_no_input(tmp_path):
    proto = small()
    proto.graph.input.append(onnx.helper.make_tensor_value_info("w", 1, [2, 3, 1, 1]))
    assert [i.name for i in read_model(save(proto, tmp_path)).inputs] == ["x"]


def test_a_negative_size_is_an_open_one(tmp_path):
    proto = small()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert read_model(save(proto, tmp_path)).inputs[0].shape == (None, 3, 4, 4)


def test_an_output_may_come_without_a_shape(tmp_path):
    body = graph([node("Relu", "x", "b")], [], ["b"])
    proto = model([node("If", "c", "y", then_branch=body, else_branch=body)], ["x[N,3]", "c:bool[]"], ["y"])
    assert read_model(save(proto, tmp_path)).outputs[0].shape is None


def test_integer_inputs_keep_their_type(tmp_path):
    proto = model([node("Cast", "x", "y", to=1)], ["x:uint8[N,3]"], ["y[N,3]"])
    assert read_model(save(proto, tmp_path)).inputs == (InputInfo("x", "uint8", (None, 3)),)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.onnx cannot be opened"):
        read_model(tmp_path / "nothing.onnx")


@pytest.mark.parametrize(
    "content", [b"hello world, this is text", b"\x08\x08\x00\x00\xff", b"PK\x03\x04zip", b"\x08\x08"]
)
def test_a_file_of_another_kind_is_not_an_onnx_model(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"not an ONNX model"):
        read_model(path)


def test_an_empty_file_is_not_an_onnx_model(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InvalidModelError, match=r"is empty, not an ONNX model"):
        read_model(tmp_path / "model.onnx")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    data = small().SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InvalidModelError, match=r"truncated|not an ONNX model"):
        read_model(path)


@pytest.mark.parametrize("kind", ["directory", "pipe", "device"])
def test_only_regular_files_are_read(tmp_path, kind):
    path = tmp_path / "model.onnx"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(InvalidModelError, match="not a regular file"):
        read_model(path)


def test_a_file_above_the_limit_is_refused(tmp_path):
    with pytest.raises(InvalidModelError, match=r"bytes; the limit is 50"):
        read_model(save(small(), tmp_path), limits=Limits(model_bytes=50))


def test_an_old_opset_says_what_to_export(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"opset 6; 7 to 24 .* again at opset 13 or later"):
        read_model(save(small(opset=6), tmp_path))


def test_a_future_opset_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"opset 25; 7 to 24"):
        read_model(save(small(opset=25), tmp_path))


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 21, 24])
def test_supported_opsets_are_read_without_change(tmp_path, opset):
    assert read_model(save(small(opset=opset), tmp_path)).opset == opset


def test_nan_weights_are_an_error_with_the_name(tmp_path):
    weight = np.ones((2, 3, 1, 1), np.float32)
    weight[1, 2] = np.nan
    with pytest.raises(InvalidModelError, match=r"Initializer 'w' holds 1 NaN among 6 values"):
        read_model(save(small(weight=weight), tmp_path))


def test_infinite_weights_are_an_error_with_name_and_reader(tmp_path):
    with pytest.raises(InvalidModelError, match=r"Initializer 'w' holds infinite values and is read by Conv 'c'"):
        read_model(save(small(weight=np.full((2, 3, 1, 1), np.inf, np.float32)), tmp_path))


def test_an_infinite_mask_is_a_note(tmp_path):
    proto = model([node("Add", "x m", "y")], ["x[N,2]"], ["y[N,2]"], {"m": np.array([0, -np.inf], np.float32)})
    assert [n.code for n in read_model(save(proto, tmp_path)).notes] == ["infinite-constants"]


def test_half_precision_weights_are_looked_at_too(tmp_path):
    proto = model(
        [node("Add", "x m", "y")], ["x:float16[N,2]"], ["y:float16[N,2]"], {"m": np.array([1, np.nan], np.float16)}
    )
    with pytest.raises(InvalidModelError, match="NaN"):
        read_model(save(proto, tmp_path))


def test_data_shorter_than_its_shape_is_refused(tmp_path):
    proto = small()
    proto.graph.initializer[0].raw_data = b"\0" * 8
    with pytest.raises(
        InvalidModelError, match=r"'w' declares shape \[2, 3, 1, 1\], which takes 24 bytes, but holds 8"
    ):
        read_model(save(proto, tmp_path))


def test_data_in_a_typed_field_is_counted_in_values(tmp_path):
    proto = small()
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].float_data.extend([1.0] * 5)
    with pytest.raises(InvalidModelError, match="takes 6 values, but holds 5"):
        read_model(save(proto, tmp_path))
    proto.graph.initializer[0].float_data.append(1.0)
    read_model(save(proto, tmp_path))


@pytest.mark.parametrize("dims", [[-1, 3, 1, 1], [2**62, 4, 1, 1], [2**40, 2**40, 1, 1]])
def test_negative_and_overflowing_sizes_are_refused(tmp_path, dims):
    proto = small()
    proto.graph.initializer[0].dims[:] = dims
    with pytest.raises(InvalidModelError, match=r"negative dimensions|declare .* the limit is"):
        read_model(save(proto, tmp_path))


def test_an_input_of_no_elements_is_refused(tmp_path):
    proto = model([node("Relu", "x", "y")], ["x[N,0]"], ["y[N,0]"])
    with pytest.raises(InvalidModelError, match=r"Input 'x' has shape \[None, 0\]"):
        read_model(save(proto, tmp_path))


def test_an_input_of_too_many_elements_is_refused(tmp_path):
    proto = model([node("Relu", "x", "y")], ["x[1000000,1000000]"], ["y"])
    with pytest.raises(InvalidModelError, match=r"which is 1000000000000 elements"):
        read_model(save(proto, tmp_path))


def test_a_cycle_is_refused(tmp_path):
    proto = model([node("Relu", "b", "a", "r1"), node("Relu", "a", "b", "r2")], ["x[1]"], ["b[1]"])
    with pytest.raises(InvalidModelError, match="topologically sorted"):
        read_model(save(proto, tmp_path))


def test_a_value_that_is_written_twice_is_refused(tmp_path):
    proto = model([node("Relu", "x", "y"), node("Relu", "x", "y")], ["x[1]"], ["y[1]"])
    with pytest.raises(InvalidModelError, match="not valid ONNX"):
        read_model(save(proto, tmp_path))


def test_a_model_without_inputs_is_refused(tmp_path):
    proto = model([node("Relu", "w", "y")], [], ["y[1]"], {"w": np.ones(1)})
    with pytest.raises(InvalidModelError, match="no inputs"):
        read_model(save(proto, tmp_path))


def test_text_inputs_are_refused(tmp_path):
    proto = small()
    proto.graph.input.append(onnx.helper.make_tensor_value_info("t", onnx.TensorProto.STRING, [1]))
    with pytest.raises(UnsupportedModelError, match=r"Input 't' is of type string"):
        read_model(save(proto, tmp_path))


def test_names_with_markup_pass_unchanged(tmp_path):
    name = "<script>alert(1)</script>=cmd|' /C calc'!A0"
    proto = model([node("Relu", "x", "y", name)], ["x[1]"], ["y[1]"])
    user = read_model(save(proto, tmp_path))
    assert user.proto.graph.node[0].name == name
    assert run(user.proto, {"x": np.ones(1, np.float32)})["y"] == 1
