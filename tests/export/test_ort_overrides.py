from __future__ import annotations

import json
from dataclasses import replace

from search.deployment.deployment import slot_values
from search.export.files import ort_script
from search.export.ort_overrides import ort_overrides, ort_overrides_text
from search.export.override_rules import check_overrides
from search.graph.network import Tensor
from search.precision import Precision
from tests.export.deployments import F32, I8, chain_deployment, residual_deployment


def test_the_text_is_the_document_with_a_line_per_tensor():
    deployment = residual_deployment()
    text = ort_overrides_text(deployment)
    assert json.loads(text) == ort_overrides(deployment)
    assert text.count("\n") >= len(ort_overrides(deployment)["overrides"])


def test_what_we_write_keeps_the_rules_we_check():
    deployment = residual_deployment()
    constants = {constant.name for constant in deployment.network.constants}
    check_overrides(ort_overrides(deployment)["overrides"], default="QInt8", initializers=constants)


def test_a_tensor_stored_in_float_is_named_for_its_integer_readers_only():
    document = ort_overrides(residual_deployment())
    assert document["overrides"]["norm_out"][0]["quant_type"] == "QInt16"
    assert document["meta"]["only_for"] == {"norm_out": ["/attn/MatMul"]}
    assert "logits" not in document["overrides"]


def test_float_groups_and_nodes_outside_every_group_are_excluded():
    meta = ort_overrides(residual_deployment())["meta"]
    assert meta["nodes_to_exclude"] == ["/norm/LayerNormalization", "flatten_7"]
    assert meta["op_types_to_quantize"] == ["Add", "Conv", "Gemm", "MatMul", "Relu"]


def test_a_constant_has_one_entry_per_channel_and_float_constants_none():
    overrides = ort_overrides(residual_deployment())["overrides"]
    assert [entry["axis"] for entry in overrides["head.w"]] == [0, 0, 0, 0]
    assert {entry["quant_type"] for entry in overrides["head.w"]} == {"QInt16"}
    assert "gamma" not in overrides


def test_a_tensor_that_nobody_reads_is_left_out():
    deployment = chain_deployment([Precision.A8W8], names=["c"])
    network = deployment.network
    spare = Tensor("state", 0, "c", 4)
    group = replace(network.groups[0], outputs=(1, 2))
    deployment = replace(
        deployment,
        network=replace(network, groups=(group,), tensors=(*network.tensors, spare)),
        placement=replace(deployment.placement, stored=(I8, F32, I8)),
    )
    assert set(ort_overrides(deployment)["overrides"]) == {"image", "w0"}


def test_a_model_input_that_is_read_behind_a_reshape_alone_is_stated_there():
    deployment = chain_deployment([Precision.A8W8], names=["c"], slot_values={(0, 0): "reshaped"})
    document = ort_overrides(deployment)
    assert set(document["overrides"]) == {"reshaped", "w0"}
    assert document["meta"]["aliases"] == []


def test_a_wider_read_than_stored_is_a_convert_too():
    deployment = chain_deployment([Precision.A8W8, Precision.A16W8], names=["a", "b"])
    placement = replace(deployment.placement, stored=(I8, I8, F32))
    (entry,) = ort_overrides(replace(deployment, placement=placement))["overrides"]["t1"]
    assert (entry["quant_type"], entry["convert"]["quant_type"]) == ("QInt8", "QInt16")


def test_slot_values_are_the_names_that_differ_from_the_tensor():
    network = residual_deployment().network
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
