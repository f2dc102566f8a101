from __future__ import annotations

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.execution_providers.qnn.mixed_precision_overrides_utils import (
    MixedPrecisionTensorQuantOverridesFixer,
)
from onnxruntime.quantization.tensor_quant_overrides import TensorQuantOverridesHelper

from search.errors import UsageError
from search.export.override_completion import Wiring, complete_overrides

NODES = {
    "Op1": (["input_0"], ["Op1_out"]),
    "Op2": (["input_1"], ["Op2_out"]),
    "Op3": (["Op1_out"], ["Op3_out"]),
    "Op4": (["Op2_out"], ["Op4_out"]),
    "Op5": (["Op3_out", "Op4_out"], ["Op5_out"]),
    "Op6": (["Op5_out"], ["output_0"]),
    "Op7": (["Op2_out"], ["output_1"]),
    "Op8": (["Op2_out"], ["output_2"]),
}


def wiring_of(nodes) -> Wiring:
    consumers: dict[str, tuple[str, ...]] = {}
    for name, (inputs, _) in nodes.items():
        for tensor in inputs:
            consumers[tensor] = (*consumers.get(tensor, ()), name)
    return Wiring({out: name for name, (_, outputs) in nodes.items() for out in outputs}, consumers)


def test_the_graph_of_the_pull_request_gets_its_four_overrides():
    completed = complete_overrides(wiring_of(NODES), {"Op4_out": [{"quant_type": "QUInt16"}]}, default="QUInt8")
    assert completed == {
        "Op2_out": [{"quant_type": "QUInt8", "convert": {"quant_type": "QUInt16", "recv_nodes": ["Op4"]}}],
        "Op3_out": [{"quant_type": "QUInt8", "convert": {"quant_type": "QUInt16", "recv_nodes": ["Op5"]}}],
        "Op4_out": [{"quant_type": "QUInt16"}],
        "Op5_out": [{"quant_type": "QUInt16", "convert": {"quant_type": "QUInt8", "recv_nodes": ["Op6"]}}],
    }


def test_completing_twice_changes_nothing():
    once = complete_overrides(wiring_of(NODES), {"Op4_out": [{"quant_type": "QUInt16"}]}, default="QUInt8")
    assert complete_overrides(wiring_of(NODES), once, default="QUInt8") == once


def test_other_keys_of_an_entry_are_kept():
    given_entry = {"quant_type": "QUInt16", "scale": 0.5, "zero_point": 7}
    completed = complete_overrides(wiring_of(NODES), {"Op4_out": [given_entry]}, default="QUInt8")
    assert completed["Op4_out"] == [given_entry]


def test_an_unknown_tensor_is_named():
    with pytest.raises(UsageError, match="'Op9_out': the model has no tensor of that name"):
        complete_overrides(wiring_of(NODES), {"Op9_out": [{"quant_type": "QUInt16"}]}, default="QUInt8")


def test_two_types_for_one_operator_are_a_conflict():
    overrides = {"Op3_out": [{"quant_type": "QUInt16"}], "Op4_out": [{"quant_type": "QInt16"}]}
    with pytest.raises(UsageError, match="'Op3_out' and 'Op4_out' ask node 'Op5' for QUInt16 and QInt16"):
        complete_overrides(wiring_of(NODES), overrides, default="QUInt8")


def test_a_convert_against_a_neighbour_is_a_conflict():
    stated = {"quant_type": "QUInt8", "convert": {"quant_type": "QInt16", "recv_nodes": ["Op4"]}}
    overrides = {"Op2_out": [stated], "Op4_out": [{"quant_type": "QUInt16"}]}
    with pytest.raises(UsageError, match="gives node 'Op4' the type QInt16, but another override asks it for QUInt16"):
        complete_overrides(wiring_of(NODES), overrides, default="QUInt8")


def test_a_receiver_that_does_not_read_the_tensor_is_refused():
    stated = {"convert": {"quant_type": "QUInt16", "recv_nodes": ["Op6"]}}
    with pytest.raises(UsageError, match="names 'Op6', which does not read it"):
        complete_overrides(wiring_of(NODES), {"Op2_out": [stated]}, default="QUInt8")


def test_overrides_of_constants_pass_through():
    wiring = Wiring({"y": "Conv"}, {"x": ("Conv",), "w": ("Conv",)}, frozenset({"w"}))
    overrides = {"w": [{"axis": 0, "scale": 1.0, "zero_point": 0}, {"scale": 2.0, "zero_point": 0}]}
    assert complete_overrides(wiring, overrides, default="QInt8") == overrides


@st.composite
def graphs(draw):
    """Random Add graphs with one overridden tensor, or several of the same type."""
    tensors, nodes = ["input_0"], {}
    for i in range(draw(st.integers(2, 7))):
        inputs = draw(st.lists(st.sampled_from(tensors), min_size=2, max_size=2))
        nodes[f"n{i}"] = (inputs, [f"t{i}"])
        tensors.append(f"t{i}")
    chosen = draw(st.lists(st.sampled_from(tensors[1:]), min_size=1, max_size=3, unique=True))
    return nodes, chosen


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_equals_the_fixer_of_onnx_runtime(graph):
    nodes, chosen = graph
    completed = complete_overrides(
        wiring_of(nodes), {name: [{"quant_type": "QUInt16"}] for name in chosen}, default="QUInt8"
    )
    expected = _fixed_by_onnx_runtime(nodes, chosen)
    for tensor, entry in expected.items():
        assert _resolved(completed.get(tensor), nodes, tensor) == _resolved(entry, nodes, tensor)
    assert set(completed) == set(expected)


def _fixed_by_onnx_runtime(nodes, chosen):
    value = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ["input_0", list(nodes.values())[-1][1][0]]
    ]
    graph = helper.make_graph(
        [helper.make_node("Add", inputs, outputs, name=name) for name, (inputs, outputs) in nodes.items()],
        "g",
        value[:1],
        value[1:],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    overrides = TensorQuantOverridesHelper({name: [{"quant_type": QuantType.QUInt16}] for name in chosen})
    fixer = MixedPrecisionTensorQuantOverridesFixer.create_from_model(
        overrides, onnx.shape_inference.infer_shapes(model), QuantType.QUInt8
    )
    fixer.apply(QuantType.QUInt8, False)
    return overrides.get_dict()


def _resolved(entries, nodes, tensor):
    """Type written, and the type each reader gets."""
    readers = [name for name, (inputs, _) in nodes.items() if tensor in inputs]
    entry = entries[0] if entries else {}
    own = _text(entry.get("quant_type", "QUInt8"))
    convert = entry.get("convert", {})
    receivers = set(convert.get("recv_nodes", readers)) if convert else set()
    return own, {name: _text(convert["quant_type"]) if name in receivers else own for name in readers}


def _text(kind) -> str:
    return kind if isinstance(kind, str) else kind.name
