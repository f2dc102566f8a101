from __future__ import annotations

import json
from dataclasses import replace

from search.export.files import ort_script
from search.export.ort_overrides import ort_overrides, ort_overrides_text
from search.export.override_rules import check_overrides
from search.export.solution import slot_values
from search.graph.network import Tensor
from search.precision import Precision
from tests.export.solutions import F32, I8, chain_solution, residual_solution


def test_the_text_is_the_document_with_a_line_per_tensor():
    solution = residual_solution()
    text = ort_overrides_text(solution)
    assert json.loads(text) == ort_overrides(solution)
    assert text.count("\n") >= len(ort_overrides(solution)["overrides"])


def test_what_we_write_keeps_the_rules_we_check():
    solution = residual_solution()
    constants = {constant.name for constant in solution.network.constants}
    check_overrides(ort_overrides(solution)["overrides"], default="QInt8", initializers=constants)


def test_a_tensor_stored_in_float_is_named_for_its_integer_readers_only():
    document = ort_overrides(residual_solution())
    assert document["overrides"]["norm_out"][0]["quant_type"] == "QInt16"
    assert document["meta"]["only_for"] == {"norm_out": ["/attn/MatMul"]}
    assert "logits" not in document["overrides"]


def test_float_groups_and_nodes_outside_every_group_are_excluded():
    meta = ort_overrides(residual_solution())["meta"]
    assert meta["nodes_to_exclude"] == ["/norm/LayerNormalization", "flatten_7"]
    assert meta["op_types_to_quantize"] == ["Add", "Conv", "Gemm", "MatMul", "Relu"]


def test_a_constant_has_one_entry_per_channel_and_float_constants_none():
    overrides = ort_overrides(residual_solution())["overrides"]
    assert [entry["axis"] for entry in overrides["head.w"]] == [0, 0, 0, 0]
    assert {entry["quant_type"] for entry in overrides["head.w"]} == {"QInt16"}
    assert "gamma" not in overrides


def test_a_tensor_that_nobody_reads_is_left_out():
    solution = chain_solution([Precision.A8W8], names=["c"])
    network = solution.network
    spare = Tensor("state", 0, "c", 4)
    group = replace(network.groups[0], outputs=(1, 2))
    solution = replace(
        solution,
        network=replace(network, groups=(group,), tensors=(*network.tensors, spare)),
        placement=replace(solution.placement, stored=(I8, F32, I8)),
    )
    assert set(ort_overrides(solution)["overrides"]) == {"image", "w0"}


def test_a_model_input_that_is_read_behind_a_reshape_alone_is_stated_there():
    solution = chain_solution([Precision.A8W8], names=["c"], slot_values={(0, 0): "reshaped"})
    document = ort_overrides(solution)
    assert set(document["overrides"]) == {"reshaped", "w0"}
    assert document["meta"]["aliases"] == []


def test_a_wider_read_than_stored_is_a_convert_too():
    solution = chain_solution([Precision.A8W8, Precision.A16W8], names=["a", "b"])
    placement = replace(solution.placement, stored=(I8, I8, F32))
    (entry,) = ort_overrides(replace(solution, placement=placement))["overrides"]["t1"]
    assert (entry["quant_type"], entry["convert"]["quant_type"]) == ("QInt8", "QInt16")


def test_the_model_is_the_prepared_one_if_it_is_given():
    assert ort_overrides(residual_solution())["meta"]["model"] == "model.onnx"
    assert ort_overrides(residual_solution(float_model=b"onnx"))["meta"]["model"] == "ort_float.onnx"


def test_slot_values_are_the_names_that_differ_from_the_tensor():
    network = residual_solution().network
    inputs = {
        "/stem/conv/Conv": ["image", "stem.w"],
        "/norm/LayerNormalization": ["flat", "gamma"],
        "/attn/MatMul": ["norm_out", "turned"],
    }
    assert slot_values(network, inputs) == {(2, 0): "flat", (3, 1): "turned"}


def test_the_script_is_plain_ascii_python_without_a_word_about_this_machine():
    text = ort_script().decode("ascii")
    compile(text, "ort_quantize.py", "exec")
    assert "/work" not in text
