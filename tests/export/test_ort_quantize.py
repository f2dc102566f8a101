"""The written script on a real model: types, scales and wiring must be those of the deployment."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from search.assignment import Assignment
from search.calibration.grids import WeightGrid as QdqWeight
from search.deployment.deployment import Deployment, ModelInput
from search.evaluation.qdq import QdqOptions, build_qdq
from search.evaluation.template import make_template
from search.export.files import export_files
from search.export.ort_overrides import ort_overrides
from search.graph.build import Structure
from search.graph.network import Constant, ConstantKind, Network, OpClass, SlotKind, Tensor
from search.precision import Format, Precision
from search.quant.grid import grid_from_scale, grid_from_threshold
from search.targets.placement import Placement
from tests.export.deployments import F16, F32, I8, I16, activation, group, weight_grid


def float_model() -> onnx.ModelProto:
    """conv0+relu0 -> conv1 (+ relu0_out) + relu1 -> pool -> sigmoid -> mul(pool) -> flatten -> gemm."""
    rng = np.random.default_rng(0)
    arrays = {
        "w0": rng.normal(size=(4, 3, 3, 3)),
        "b0": rng.normal(size=4),
        "w1": rng.normal(size=(4, 4, 1, 1)),
        "b1": rng.normal(size=4),
        "w2": rng.normal(size=(5, 64)),
        "b2": rng.normal(size=5),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w0", "b0"], ["c0"], name="conv0", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"], name="relu0"),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], name="conv1"),
        helper.make_node("Add", ["c1", "r0"], ["a1"], name="add1"),
        helper.make_node("Relu", ["a1"], ["r1"], name="relu1"),
        helper.make_node("MaxPool", ["r1"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Sigmoid", ["p"], ["s"], name="sigmoid"),
        helper.make_node("Mul", ["p", "s"], ["m"], name="mul"),
        helper.make_node("Flatten", ["m"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["logits"], name="gemm", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5]),
            helper.make_tensor_value_info("r1", TensorProto.FLOAT, ["N", 4, 8, 8]),
        ],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def network() -> Network:
    return Network(
        groups=(
            group("conv0", "Conv", OpClass.GEMM, [activation(0, "conv0")], [1], ("relu0",)),
            group(
                "conv1",
                "Conv",
                OpClass.GEMM,
                [activation(1, "conv1"), activation(1, "add1", 1, SlotKind.SUM_IN)],
                [2],
                ("add1", "relu1"),
            ),
            group("pool", "MaxPool", OpClass.POOL, [activation(2, "pool")], [3]),
            group("sigmoid", "Sigmoid", OpClass.LUT, [activation(3, "sigmoid")], [4]),
            group("mul", "Mul", OpClass.ELEMENTWISE, [activation(3, "mul", 0), activation(4, "mul", 1)], [5]),
            group("gemm", "Gemm", OpClass.GEMM, [activation(5, "gemm")], [6]),
        ),
        tensors=(
            Tensor("image", None, "image", 192),
            Tensor("r0", 0, "conv0", 256),
            Tensor("r1", 1, "conv1", 256, ("r1",)),
            Tensor("p", 2, "pool", 64),
            Tensor("s", 3, "sigmoid", 64),
            Tensor("m", 4, "mul", 64),
            Tensor("logits", 5, "gemm", 5, ("logits",)),
        ),
        constants=(
            Constant("w0", 0, ConstantKind.WEIGHT, "conv0", 1, (4, 3, 3, 3), 0),
            Constant("w1", 1, ConstantKind.WEIGHT, "conv1", 1, (4, 4, 1, 1), 0),
            Constant("w2", 5, ConstantKind.WEIGHT, "gemm", 1, (5, 64), 0),
        ),
        outputs=("logits", "r1"),
    )


def deployment(precisions: list[Precision], placement: Placement, **changes) -> Deployment:
    net = network()
    model = float_model()
    base = Deployment(
        graph=model.SerializeToString(),
        quantized=model.SerializeToString(),
        network=net,
        target="j6m",
        kind="horizon",
        march="nash-m",
        toolchain="3.2.0",
        requested=Assignment(tuple(precisions)),
        effective=Assignment(tuple(precisions)),
        reasons=("",) * 6,
        placement=placement,
        grids={(t, bits): grid_from_threshold(1.3 + t, bits) for t in range(7) for bits in (8, 16)},
        weights={
            c: weight_grid(net.constants[c], fmt.bits) for c, fmt in enumerate(placement.constants) if fmt.is_integer
        },
        inputs=(ModelInput(name="image", shape=(1, 3, 8, 8)),),
        node_types={node.name: node.op_type for node in model.graph.node},
        slot_values={(5, 0): "f"},
    )
    return replace(base, **changes)


MIXED = deployment(
    [Precision.A8W8, Precision.A16W8, Precision.INT8, Precision.FP16, Precision.INT16, Precision.A8W16],
    # r0 is stored in 16 bits for conv1 and read in 8 by its Add; p in 8 for the float sigmoid and in 16 by the Mul;
    # s is stored in float and read in 16; m is stored in 16 and read in 8 behind the Flatten.
    Placement(
        stored=(I8, I16, I16, I8, F16, I16, F32),
        read=((I8,), (I16, I8), (I8,), (F16,), (I16, I16), (I8,)),
        constants=(I8, I8, I16),
    ),
)
ALL_INT8 = deployment(
    [Precision.A8W8, Precision.A8W8, Precision.INT8, Precision.INT8, Precision.INT8, Precision.A8W8],
    Placement(stored=(I8,) * 6 + (F32,), read=((I8,), (I8, I8), (I8,), (I8,), (I8, I8), (I8,)), constants=(I8, I8, I8)),
)
ALL_FLOAT = deployment(
    [Precision.FP32] * 6,
    Placement(stored=(F32,) * 7, read=((F32,), (F32, F32), (F32,), (F32,), (F32, F32), (F32,)), constants=(F32,) * 3),
)
UNSIGNED = replace(
    ALL_INT8,
    target="ort-cpu",
    kind="ort",
    march=None,
    grids={(t, 8): grid_from_scale(0.01 * (t + 1), 100 + t, 8, False) for t in range(7)},
)
CASES = {"mixed": MIXED, "all_int8": ALL_INT8, "all_float": ALL_FLOAT, "unsigned": UNSIGNED}


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """Every case through the script, run as a user runs it."""
    models = {}
    for name, case in CASES.items():
        folder = tmp_path_factory.mktemp(name)
        for path, data in export_files(case).files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(data)
        run = subprocess.run(
            [sys.executable, "ort_quantize.py", "--output", "out.onnx"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        models[name] = onnx.load(folder / "out.onnx")
    return models


@pytest.mark.parametrize("name", CASES)
def test_every_slot_reads_the_stored_tensor_through_the_stated_grids(quantized, name):
    case, graph = CASES[name], _Graph(quantized[name])
    for g, spec in enumerate(case.network.groups):
        for s, slot in enumerate(spec.inputs):
            expected = _expected_chain(case, slot.tensor, case.placement.read[g][s])
            assert graph.chain(graph.nodes[slot.node].input[slot.index]) == expected, (spec.name, s)


@pytest.mark.parametrize("name", CASES)
def test_every_output_is_what_is_stored(quantized, name):
    case, graph = CASES[name], _Graph(quantized[name])
    for t, tensor in enumerate(case.network.tensors):
        for output in tensor.model_outputs:
            assert graph.chain(output) == _expected_chain(case, t, case.placement.stored[t]), output


@pytest.mark.parametrize("name", CASES)
def test_constants_have_the_stated_scales_per_channel(quantized, name):
    case, graph = CASES[name], _Graph(quantized[name])
    for c, constant in enumerate(case.network.constants):
        value = graph.nodes[constant.node].input[constant.index]
        if not case.placement.constants[c].is_integer:
            assert value == constant.name
            continue
        node = graph.writers[value]
        assert node.op_type == "DequantizeLinear"
        scales, zero_points = (graph.arrays[i] for i in node.input[1:])
        assert np.array_equal(scales, case.weights[c].scales)
        assert zero_points.dtype == {8: np.int8, 16: np.int16}[case.weights[c].bits]
        assert [a.i for a in node.attribute if a.name == "axis"] == [case.weights[c].axis]


@pytest.mark.parametrize("name", CASES)
def test_nothing_between_a_gemm_and_what_it_took_in_is_quantized(quantized, name):
    graph = _Graph(quantized[name])
    assert graph.nodes["relu0"].input[0] == graph.nodes["conv0"].output[0]
    assert graph.nodes["add1"].input[0] == graph.nodes["conv1"].output[0]
    assert graph.nodes["relu1"].input[0] == graph.nodes["add1"].output[0]


def test_a_float_assignment_leaves_the_model_as_it_is(quantized):
    assert [node.op_type for node in quantized["all_float"].graph.node] == [n.op_type for n in float_model().graph.node]


@pytest.mark.parametrize("name", ["mixed", "all_int8", "unsigned"])
def test_the_quantized_model_runs(quantized, name):
    # The reference evaluator, not the runtime: the wiring is in question, not the kernels.
    feed = {"image": np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)}
    results = ReferenceEvaluator(quantized[name]).run(None, feed)
    assert results[0].shape == (2, 5)
    assert np.isfinite(results[0]).all()


@pytest.mark.parametrize("name", CASES)
def test_every_slot_reads_what_it_reads_in_the_exported_qdq_model(quantized, name):
    case, made = CASES[name], _Graph(quantized[name])
    exported = _Graph(qdq_model(case))
    for spec in case.network.groups:
        for slot in spec.inputs:
            places = [graph.nodes[slot.node].input[slot.index] for graph in (made, exported)]
            assert made.chain(places[0]) == exported.chain(places[1]), (spec.name, slot)


@pytest.mark.parametrize("name", CASES)
def test_integer_constants_are_those_of_the_exported_qdq_model(quantized, name):
    case, made = CASES[name], _Graph(quantized[name])
    exported = _Graph(qdq_model(case))
    for c, constant in enumerate(case.network.constants):
        if not case.placement.constants[c].is_integer:
            continue
        writers = [graph.writers[graph.nodes[constant.node].input[constant.index]] for graph in (made, exported)]
        for position in range(3):
            first, second = (g.arrays[w.input[position]] for g, w in zip((made, exported), writers, strict=True))
            assert first.dtype == second.dtype
            assert np.array_equal(first, second), (constant.name, position)


@pytest.mark.parametrize("name", ["all_int8", "unsigned", "all_float"])
def test_integer_assignments_give_the_outputs_of_the_exported_qdq_model(quantized, name):
    feed = {"image": np.random.default_rng(2).normal(size=(2, 3, 8, 8)).astype(np.float32)}
    made = ReferenceEvaluator(quantized[name]).run(None, feed)
    exported = ReferenceEvaluator(qdq_model(CASES[name])).run(None, feed)
    for first, second in zip(made, exported, strict=True):
        assert np.array_equal(first, second)


def test_biases_are_int32_with_the_product_of_the_scales(quantized):
    graph = _Graph(quantized["mixed"])
    bias = graph.writers[graph.nodes["conv1"].input[2]]
    assert graph.arrays[bias.input[0]].dtype == np.int32
    expected = np.float32(MIXED.grid(1, Format.INT16).scale) * MIXED.weights[1].scales
    assert np.allclose(graph.arrays[bias.input[1]], expected, rtol=1e-6)


def test_a_wrong_model_is_refused_by_name(tmp_path):
    for path, data in export_files(MIXED).files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    other = float_model()
    other.graph.node[1].output[0] = other.graph.node[2].input[0] = other.graph.node[3].input[1] = "renamed"
    onnx.save(other, tmp_path / "other.onnx")
    run = subprocess.run(
        [sys.executable, "ort_quantize.py", "--model", "other.onnx"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "no tensor 'r0'" in run.stderr


def test_the_document_states_both_ends_of_a_convert():
    document = ort_overrides(MIXED)
    (entry,) = document["overrides"]["r0"]
    assert entry["quant_type"] == "QInt16"
    assert entry["scale"] == MIXED.grid(1, Format.INT16).scale
    assert entry["convert"] == {
        "quant_type": "QInt8",
        "scale": MIXED.grid(1, Format.INT8).scale,
        "zero_point": 0,
        "recv_nodes": ["add1"],
    }
    assert len(document["overrides"]["w0"]) == 4
    assert document["meta"]["nodes_to_exclude"] == ["flatten", "sigmoid"]
    assert document["meta"]["only_for"] == {"s": ["mul"]}
    assert document["meta"]["aliases"] == ["f"]
    json.dumps(document, allow_nan=False)


def test_unsigned_activations_set_the_default_type():
    meta = ort_overrides(UNSIGNED)["meta"]
    assert (meta["activation_type"], meta["weight_type"]) == ("QUInt8", "QInt8")


def _expected_chain(case: Deployment, tensor: int, read: Format) -> list[tuple[int, bool, float, int]]:
    stored = case.placement.stored[tensor]
    formats = [fmt for fmt in (stored, read) if fmt.is_integer]
    grids = [case.grid(tensor, fmt) for fmt in dict.fromkeys(formats)]
    return [(grid.bits, grid.signed, grid.scale, grid.zero_point) for grid in grids]


class _Source:
    """The scales of a deployment as the Q/DQ writer asks for them."""

    def __init__(self, case: Deployment) -> None:
        self._case = case
        self._arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in float_model().graph.initializer}

    def activation(self, tensor: int, fmt: Format):
        return self._case.grid(tensor, fmt)

    def weight(self, constant: int, fmt: Format) -> QdqWeight:
        grid = self._case.weights[constant]
        spec = self._case.network.constants[constant]
        dtype = {8: np.int8, 16: np.int16}[fmt.bits]
        shape = [-1 if axis == spec.axis else 1 for axis in range(len(spec.shape))]
        steps = np.rint(self._arrays[spec.name] / grid.scales.reshape(shape))
        limits = np.iinfo(dtype)
        values = np.clip(steps, limits.min, limits.max).astype(dtype)
        return QdqWeight(values, grid.scales, grid.zero_points.astype(dtype), spec.axis)


def qdq_model(case: Deployment) -> onnx.ModelProto:
    """The model that is measured and exported."""
    tensors = {tensor.name: t for t, tensor in enumerate(case.network.tensors)}
    structure = Structure(case.network, {**tensors, "f": tensors["m"]}, {})
    template = make_template(float_model(), structure)
    return build_qdq(template, case.placement, _Source(case), QdqOptions()).model


class _Graph:
    """Names of a model, and the way from a value back to its writer."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = {node.name: node for node in model.graph.node}
        self.writers = {name: node for node in model.graph.node for name in node.output}
        self.arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def chain(self, value: str) -> list[tuple[int, bool, float, int]]:
        """Grids between a value and what its writer computed, first one first.

        Flatten is looked through, and so are the Casts that round to fp16, which the runtime's tool does not write.
        """
        found = []
        while value in self.writers:
            node = self.writers[value]
            if node.op_type == "DequantizeLinear":
                scale, zero_point = (self.arrays[name] for name in node.input[1:])
                dtype = zero_point.dtype
                found.append((dtype.itemsize * 8, dtype.kind == "i", float(scale), int(zero_point)))
                quantize = self.writers[node.input[0]]
                assert quantize.op_type == "QuantizeLinear"
                assert list(quantize.input[1:]) == list(node.input[1:])
                value = quantize.input[0]
            elif node.op_type in ("Flatten", "Cast"):
                value = node.input[0]
            else:
                break
        return found[::-1]
