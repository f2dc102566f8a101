"""Which axis is the sample: the answers of single runs of plain ONNX Runtime are the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from search.data.stored import StoredArrays
from search.errors import InvalidDataError, UnsupportedModelError
from search.graph.load import read_model
from search.runtime.arranging import arrange, read
from search.runtime.feeding import BATCH
from search.runtime.session import Level, Session
from search.spec.job import InputSettings
from search.work.loaded import inputs_of
from tests.builders import model, node, run, save

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def arranged(tmp_path, proto: onnx.ModelProto, data: dict[str, Any], labels=(), **settings):
    """The arrangement, and the outputs of all samples as it feeds them, batch by batch."""
    user = read_model(save(proto, tmp_path))
    session = Session(user.proto, level=Level.DEPLOYED)
    stored = StoredArrays("eval.npz", data, "", dict(labels))
    inputs = inputs_of(user)
    found = arrange(session, inputs, [stored], settings)
    samples = read(stored, inputs, found, settings)
    rows: dict[str, list[Any]] = {name: [] for name in session.outputs}
    for indices, fresh in found.feeding.slices(np.arange(samples.n_samples)):
        for name, value in session.run(samples.batch(indices)).items():
            rows[name].append(found.feeding.rows(name, value, len(indices), fresh))
    return found, {name: np.concatenate(parts) for name, parts in rows.items()}


def alone(proto, n, feeds_of):
    """Each sample by plain ONNX Runtime, in a run of its own."""
    return [run(proto, feeds_of(i)) for i in range(n)]


def lstm(batch="N", seq=6):
    """x [batch, seq, 5] and a state [1, batch, 4] whose batch lies on axis 1."""
    nodes = [
        node("Transpose", "x", "xt", "t", perm=[1, 0, 2]),
        node("LSTM", "xt W R _ _ h c", "all hn cn", "lstm", hidden_size=4),
        node("Squeeze", "hn zero", "y", "sq"),
    ]
    inputs = [f"x[{batch},{seq},5]", f"h[1,{batch},4]", f"c[1,{batch},4]"]
    constants = {"W": f(1, 16, 5), "R": f(1, 16, 4), "zero": np.array([0])}
    return model(nodes, inputs, [f"y[{batch},4]", f"hn[1,{batch},4]"], constants)


@pytest.mark.parametrize("stored", ["samples first", "as the model", "whole"])
def test_a_state_with_its_batch_on_axis_1_is_paired_with_its_sample(tmp_path, stored):
    proto, x, h, c = lstm(), f(70, 6, 5), f(70, 1, 4), f(70, 1, 4)
    form = {"samples first": h, "as the model": h.transpose(1, 0, 2), "whole": h[:, :, None]}[stored]
    found, got = arranged(tmp_path, proto, {"x": x, "h": form, "c": c})
    assert found.layouts["h"].axis == 1
    assert (found.feeding.batch, found.feeding.fixed) == (BATCH, False)
    expected = alone(proto, 70, lambda i: {"x": x[i : i + 1], "h": h[i][:, None], "c": c[i][:, None]})
    np.testing.assert_allclose(got["y"], np.concatenate([one["y"] for one in expected]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["hn"], np.stack([one["hn"][:, 0] for one in expected]), rtol=1e-5, atol=1e-6)


def test_a_matrix_that_is_the_same_for_every_sample_is_fed_whole(tmp_path):
    proto = model([node("MatMul", "x K", "y", "m")], ["x[N,4]", "K[4,4]"], ["y[N,4]"])
    x, k = f(64, 4), f(4, 4)
    for stored in (k, np.tile(k, (16, 1)), np.tile(k, (64, 1, 1))):
        found, got = arranged(tmp_path, proto, {"x": x, "K": stored})
        assert found.layouts["K"].constant
        np.testing.assert_allclose(got["y"], x @ k, rtol=1e-4, atol=1e-5)


def test_a_matrix_of_each_sample_is_run_with_its_own(tmp_path):
    proto = model([node("MatMul", "x K", "y", "m")], ["x[N,4]", "K[4,4]"], ["y[N,4]"])
    x, k = f(9, 4), f(9, 4, 4)
    found, got = arranged(tmp_path, proto, {"x": x, "K": k})
    assert (found.layouts["K"].axis, found.feeding.batch) == (None, 1)
    np.testing.assert_allclose(got["y"], np.einsum("ni,nij->nj", x, k), rtol=1e-4, atol=1e-5)


def test_six_cameras_are_one_sample(tmp_path):
    nodes = [node("Reshape", "img shape", "z", "fuse"), node("Conv", "z w", "bev", "conv")]
    proto = model(nodes, ["img[6,3,8,8]"], ["bev[1,5,8,8]"], {"shape": np.array([1, 18, 8, 8]), "w": f(5, 18, 1, 1)})
    x = f(7, 6, 3, 8, 8)
    found, got = arranged(tmp_path, proto, {"img": x})
    assert found.layouts["img"].axis is None
    np.testing.assert_allclose(got["bev"], np.concatenate([run(proto, {"img": one})["bev"] for one in x]), atol=1e-5)


def test_six_cameras_one_behind_the_other_are_asked_for_and_then_fed(tmp_path):
    nodes = [node("Reshape", "img shape", "z", "fuse"), node("Conv", "z w", "bev", "conv")]
    proto = model(nodes, ["img[6,3,8,8]"], ["bev[1,5,8,8]"], {"shape": np.array([1, 18, 8, 8]), "w": f(5, 18, 1, 1)})
    x = f(7, 6, 3, 8, 8)
    flat = x.reshape(42, 3, 8, 8)
    with pytest.raises(
        InvalidDataError, match=r"which axis of 'img' \[6, 3, 8, 8\] is the sample.*inputs.img.batch_axis"
    ):
        arranged(tmp_path, proto, {"img": flat})
    _, got = arranged(tmp_path, proto, {"img": flat}, img=InputSettings(batch_axis="none"))
    np.testing.assert_allclose(got["bev"], np.concatenate([run(proto, {"img": one})["bev"] for one in x]), atol=1e-5)


def recurrent(inputs):
    return model(
        [node("GRU", "x W R", "all y", "gru", hidden_size=4)], inputs, ["all"], {"W": f(1, 12, 5), "R": f(1, 12, 4)}
    )


def test_a_sequence_first_network_is_found_out_and_asked_for(tmp_path):
    x = f(60, 1, 5)
    with pytest.raises(
        InvalidDataError, match=r"samples of 'x' on axis 0, output 'all' changes by .* Set inputs.x.batch_axis"
    ):
        arranged(tmp_path, recurrent(["x[T,1,5]"]), {"x": x})
    found, got = arranged(tmp_path, recurrent(["x[6,1,5]"]), {"x": x}, x=InputSettings(batch_axis=1))
    assert found.layouts["x"].axis == 1
    blocks = x.reshape(10, 6, 1, 5)
    np.testing.assert_allclose(got["all"], np.stack([run(recurrent_of(tmp_path), {"x": one})["all"] for one in blocks]))


def recurrent_of(tmp_path):
    return onnx.load(tmp_path / "model.onnx")


def test_a_sequence_first_network_with_samples_first_is_fed_along_axis_1(tmp_path):
    x = f(20, 6, 5)
    proto = recurrent(["x[T,B,5]"])
    found, got = arranged(tmp_path, proto, {"x": x}, labels={"labels": np.arange(20)})
    assert (found.layouts["x"].axis, found.feeding.batch) == (1, BATCH)
    expected = np.stack([run(proto, {"x": one[:, None]})["all"][:, :, 0] for one in x])
    np.testing.assert_allclose(got["all"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("declared", ["x[3,5,5]", "x[4]", "x[]"])
def test_a_model_without_a_batch_axis_takes_one_sample_per_run(tmp_path, declared):
    proto = model([node("Relu", "x", "y", "r")], [declared], ["y"])
    sizes = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    x = f(8, *sizes)
    found, got = arranged(tmp_path, proto, {"x": x})
    np.testing.assert_array_equal(got["y"].reshape(x.shape), np.maximum(x, 0))
    assert found.feeding.batch == 1 or declared == "x[4]"


def test_a_number_that_the_job_gives_needs_no_data(tmp_path):
    proto = model([node("Mul", "x s", "y", "m")], ["x[N,3]", "s[]"], ["y[N,3]"])
    x = f(5, 3)
    _, got = arranged(tmp_path, proto, {"x": x}, s=InputSettings(constant=3.0))
    np.testing.assert_array_equal(got["y"], x * 3)


def test_numbers_of_samples_that_are_all_equal_are_shared(tmp_path):
    proto = model([node("Mul", "x s", "y", "m")], ["x[N,3]", "s[]"], ["y[N,3]"])
    x = f(70, 3)
    found, got = arranged(tmp_path, proto, {"x": x, "s": np.full(70, 2, np.float32)})
    assert found.feeding.batch == BATCH
    np.testing.assert_array_equal(got["y"], x * 2)
    found, got = arranged(tmp_path, proto, {"x": x, "s": x[:, 0]})
    assert found.feeding.batch == 1
    np.testing.assert_array_equal(got["y"], x * x[:, :1])


@pytest.mark.parametrize("batch", [1, 4])
def test_a_declared_batch_is_kept(tmp_path, batch):
    proto = model([node("Relu", "x", "y", "r")], [f"x[{batch},3]"], [f"y[{batch},3]"])
    found, _ = arranged(tmp_path, proto, {"x": f(9, 3)})
    assert (found.feeding.batch, found.feeding.fixed) == (batch, True)


def test_inputs_of_different_batch_are_refused(tmp_path):
    proto = model([node("Relu", "x", "y", "a"), node("Relu", "v", "z", "b")], ["x[2,3]", "v[4,3]"], ["y", "z"])
    with pytest.raises(UnsupportedModelError, match=r"different fixed batch sizes \[2, 4\]"):
        arranged(tmp_path, proto, {"x": f(8, 3), "v": f(8, 3)})


def test_an_output_that_is_the_same_for_all_does_not_slow_down(tmp_path):
    proto = model(
        [node("Relu", "x", "y", "a"), node("Identity", "w", "grid", "b")], ["x[N,3]"], ["y", "grid"], {"w": f(5, 2)}
    )
    found, got = arranged(tmp_path, proto, {"x": f(70, 3)})
    assert found.feeding.batch == BATCH
    assert got["grid"].shape == (70, 5, 2)


def test_a_model_that_mixes_samples_is_asked_for_and_then_run_one_by_one(tmp_path):
    proto = model([node("Softmax", "x", "y", "s", axis=0)], ["x[N,4]"], ["y[N,4]"])
    with pytest.raises(InvalidDataError, match=r"output 'y' changes by .*inputs.x.batch_axis"):
        arranged(tmp_path, proto, {"x": f(9, 4)})
    found, got = arranged(tmp_path, proto, {"x": f(9, 4)}, x=InputSettings(batch_axis=0))
    assert (found.feeding.batch, found.mixes > 0.1) == (1, True)
    np.testing.assert_array_equal(got["y"], np.ones((9, 4)))


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("ReduceSum", "x axes", "y", keepdims=1)], {"axes": np.array([0])}),
        ([node("Reshape", "x shape", "y")], {"shape": np.array([1, 4])}),
    ],
)
def test_a_named_batch_that_outputs_do_not_follow_is_run_one_by_one(tmp_path, nodes, constants):
    found, _ = arranged(tmp_path, model(nodes, ["x[N,4]"], ["y[1,4]"], constants), {"x": f(9, 4)})
    assert (found.feeding.batch, found.feeding.fixed) == (1, True)


def test_a_model_that_answers_at_random_is_refused(tmp_path):
    nodes = [node("RandomNormalLike", "x", "r", "rand"), node("Add", "x r", "y", "add")]
    with pytest.raises(UnsupportedModelError, match="different answers to the same sample"):
        arranged(tmp_path, model(nodes, ["x[N,4]"], ["y[N,4]"]), {"x": f(9, 4)})


def test_a_model_that_runs_on_no_sample_is_an_error(tmp_path):
    proto = model([node("Reshape", "x shape", "y")], ["x[N,4]"], ["y[3,1]"], {"shape": np.array([3, 1])})
    with pytest.raises(UnsupportedModelError, match="runs on no sample"):
        arranged(tmp_path, proto, {"x": f(5, 4)})


def test_two_readings_that_give_different_answers_are_asked_for(tmp_path):
    proto = model([node("Add", "x K", "y", "a")], ["x[N,4]", "K[N,4]"], ["y[N,4]"])
    x = f(4, 4)
    _, got = arranged(tmp_path, proto, {"x": x, "K": x.T})
    np.testing.assert_array_equal(got["y"], x + x.T)  # the documented form: both have the sample first


def test_a_fixed_batch_whose_samples_mix_is_offered_no_axis_that_does_not_help(tmp_path):
    nodes = [node("ReduceMean", "x", "m", "mean", axes=[0], keepdims=1), node("Sub", "x m", "y", "sub")]
    proto = model(nodes, ["x[4,3]"], ["y[4,3]"])
    with pytest.raises(InvalidDataError, match=r"changes by .*cannot be run one by one: export it with a batch of 1"):
        arranged(tmp_path, proto, {"x": f(12, 3)})


def test_equal_samples_hide_no_mixing(tmp_path):
    proto = recurrent(["x[T,1,5]"])
    with pytest.raises(InvalidDataError, match="it cannot be told which axis"):
        arranged(tmp_path, proto, {"x": np.tile(f(1, 1, 5), (30, 1, 1))})


def test_different_counts_are_told(tmp_path):
    proto = model([node("Relu", "x", "y", "a"), node("Relu", "v", "z", "b")], ["x[N,3]", "v[N,3]"], ["y", "z"])
    with pytest.raises(
        InvalidDataError, match=r"inputs differ in their number of samples \(axis 0\): x has 8, v has 7"
    ):
        arranged(tmp_path, proto, {"x": f(8, 3), "v": f(7, 3)})
