from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from search.assignment import Assignment
from search.deployment.deployment import ModelInput, Observation, OutputForm
from search.errors import UsageError
from search.export.hb_compile import hb_compile_document, hb_compile_text
from search.export.hmct_config import hmct_config
from search.export.horizon_keys import hb_compile_problems, quant_config_problems
from search.graph.network import Network, OpClass, SlotKind, Tensor
from search.precision import Precision
from search.targets.placement import Placement
from tests.export.deployments import F16, F32, I8, I16, activation, chain_deployment, group, residual_deployment


def test_each_gemm_precision_has_its_words():
    precisions = [Precision.A8W8, Precision.A16W8, Precision.A8W16, Precision.A16W16, Precision.FP16]
    names = ["c0", "c1", "c2", "c3", "c4"]
    assert hmct_config(chain_deployment(precisions, names=names)) == {
        "model_config": {"all_node_type": "int8"},
        "node_config": {
            "c0": {"qtype": "int8"},
            "c1": {"qtype": "int16"},
            "c2": {"input0": "int8", "input1": "int16"},
            "c3": {"input0": "int16", "input1": "int16"},
            "c4": {"qtype": "float16"},
        },
    }


def test_the_weight_of_a_matmul_may_stand_first():
    deployment = chain_deployment([Precision.A16W8], names=["m"])
    groups = (replace(deployment.network.groups[0], inputs=(activation(0, "m", 1),)),)
    config = hmct_config(replace(deployment, network=replace(deployment.network, groups=groups)))
    assert config["node_config"] == {"m": {"input0": "int8", "input1": "int16"}}


def test_the_states_of_a_recurrent_layer_do_not_count():
    deployment = chain_deployment([Precision.A8W16], names=["gru"])
    slots = (activation(0, "gru", 0), activation(0, "gru", 5))
    groups = (replace(deployment.network.groups[0], op_class=OpClass.RECURRENT, inputs=slots),)
    placement = replace(deployment.placement, read=((I8, F32),))
    config = hmct_config(replace(deployment, network=replace(deployment.network, groups=groups), placement=placement))
    assert config["node_config"] == {"gru": {"input0": "int8", "input1": "int16"}}


def test_the_residual_network():
    config = hmct_config(residual_deployment(), loads=True)
    assert config["node_config"] == {
        "/attn/MatMul": {"input0": "int16", "input1": "int8"},
        "/stem/conv/Conv": {"qtype": "int8"},
        "/stem/act/Relu": {"qtype": "int8"},
        "/block/block.0/conv/Conv": {"qtype": "int16"},
        "/block/block.0/Add": {"qtype": "int8"},
        "/head/layers.0/Gemm": {"input0": "int16", "input1": "int16"},
        "/norm/LayerNormalization": {"qtype": "float16"},
    }
    assert quant_config_problems(config) == []


def test_j6p_starts_from_float16_and_states_every_gemm():
    deployment = replace(residual_deployment(), march="nash-p", target="j6p")
    config = hmct_config(deployment, loads=True)
    assert config["model_config"]["all_node_type"] == "float16"
    assert config["node_config"]["/stem/conv/Conv"] == {"qtype": "int8"}
    assert config["node_config"]["/stem/act/Relu"] == {"qtype": "int8"}  # fused: float16 would make it another network
    assert config["node_config"]["/norm/LayerNormalization"] == {"qtype": "float16"}


def test_a_node_that_only_moves_a_value_has_the_type_it_is_stored_in():
    deployment = chain_deployment(
        [Precision.A16W8] * 2, names=["c0", "c1"], types={"c0": "Conv", "c1": "Conv", "r": "Reshape"}
    )
    assert hmct_config(replace(deployment, passes={"r": 1}))["node_config"]["r"] == {"qtype": "int16"}


def test_the_grid_of_a_grid_sample_has_its_own_type():
    network = Network(
        groups=(
            group(
                "warp",
                "GridSample",
                OpClass.WARP,
                [activation(0, "warp", 0, SlotKind.FEATURE), activation(1, "warp", 1, SlotKind.GRID)],
                [2],
            ),
        ),
        tensors=(Tensor("x", None, "x", 8), Tensor("grid", None, "grid", 8), Tensor("y", 0, "warp", 8, ("y",))),
        constants=(),
        outputs=("y",),
    )
    deployment = replace(
        residual_deployment(),
        network=network,
        effective=Assignment((Precision.INT8,)),
        requested=Assignment((Precision.INT8,)),
        reasons=("",),
        placement=Placement(stored=(I8, I16, I8), read=((I8, I16),), constants=()),
        weights={},
        pins={},
        node_types={"warp": "GridSample"},
    )
    assert hmct_config(deployment)["node_config"] == {"warp": {"input0": "int8", "input1": "int16"}}


def test_integer_outputs_and_the_observer_are_passed_on():
    deployment = residual_deployment(
        outputs={"logits": OutputForm(dtype="int16", scale=0.1, zero_point=0)},
        observations={(0, 8): Observation(method="kl"), (0, 16): Observation(method="min_max")},
    )
    assert hmct_config(deployment)["model_config"] == {
        "all_node_type": "int8",
        "model_output_type": "int16",
        "activation": {"calibration_type": "kl", "num_bin": [4096], "max_num_bin": 4096},
    }


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"node_config": {"n": {"ON": "int16"}}}, "ON: 'int16' is not BPU or CPU"),
        ({"node_config": {"n": {"InputType0": "int16"}}}, "unknown key"),
        ({"node_config": {"n": {"qtype": "a16w8"}}}, "is not a type"),
        ({"node_config": {"n": {"qtype": "int8", "input0": "int8"}}}, "not both"),
        ({"node_config": {"n": {}}}, "non-empty"),
        ({"op_config": {"Softmax": {"qtype": "dual-int16"}}}, "is not a type"),
        ({"model_config": {"all_node_type": "dual-int16"}}, "is not allowed"),
        ({"model_config": {"activation": {"max_percentile": 0.4}}}, "is not allowed"),
        ({"model_config": {"activation": {"num_bin": [128]}}}, "is not allowed"),
        ({"nodes": {}}, "unknown section"),
    ],
)
def test_the_validator_knows_what_hmct_refuses(document, problem):
    assert any(problem in found for found in quant_config_problems(document))


def test_the_compile_file_for_two_inputs():
    deployment = residual_deployment(
        inputs=(
            ModelInput(name="image", shape=(1, 3, 512, 960)),
            ModelInput(name="pose", shape=(1, 4, 4), layout="NHWC"),
        ),
        calibration_dir="calibration/",
    )
    document = yaml.safe_load(hb_compile_text(deployment))
    assert document == {
        "model_parameters": {
            "onnx_model": "./horizon/model.onnx",
            "march": "nash-m",
            "working_dir": "./model_output",
            "output_model_file_prefix": "model",
        },
        "input_parameters": {
            "input_name": "image;pose",
            "input_shape": "1x3x512x960;1x4x4",
            "input_type_rt": "featuremap;featuremap",
            "input_type_train": "featuremap;featuremap",
            "input_layout_train": "NCHW;NHWC",
        },
        "calibration_parameters": {
            "cal_data_dir": "./calibration/image;./calibration/pose",
            "quant_config": "./horizon/quant_config.json",
        },
        "compiler_parameters": {"compile_mode": "latency", "optimize_level": "O2", "core_num": 1, "jobs": 16},
    }
    assert hb_compile_problems(document) == []


def test_without_calibration_data_the_folder_is_a_commented_placeholder():
    text = hb_compile_text(residual_deployment())
    assert "\n  # cal_data_dir: <folder of .npy files for input 0>\n" in text
    assert "cal_data_dir" not in yaml.safe_load(text)["calibration_parameters"]


@pytest.mark.parametrize(
    ("march", "cores", "l2m"), [("nash-p", 4, 25165824), ("nash-h", 3, 18874368), ("nash-e", 1, None)]
)
def test_cores_and_shared_memory_follow_the_chip(march, cores, l2m):
    compiler = hb_compile_document(residual_deployment(march=march))["compiler_parameters"]
    assert (compiler["core_num"], compiler.get("max_l2m_size")) == (cores, l2m)


def test_input_names_with_a_semicolon_become_a_list():
    document = hb_compile_document(residual_deployment(inputs=(ModelInput(name="a;b", shape=(1, 2)),)))
    assert document["input_parameters"]["input_name"] == ["a;b"]


def test_a_hostile_input_name_stays_text():
    name = "x: {y: 1}\n# end"
    document = yaml.safe_load(hb_compile_text(residual_deployment(inputs=(ModelInput(name=name, shape=(1, 2)),))))
    assert document["input_parameters"]["input_name"] == name


def test_a_target_without_march_has_no_compile_file():
    with pytest.raises(UsageError, match="names no march"):
        hb_compile_document(residual_deployment(march=None))


def test_an_unknown_march_is_refused():
    with pytest.raises(UsageError, match="'nash-x' is not allowed"):
        hb_compile_document(residual_deployment(march="nash-x"))


@pytest.mark.parametrize(
    ("section", "values", "problem"),
    [
        ("model_parameters", {"log_level": "debug"}, "unknown key"),
        ("input_parameters", {"input_shape": "1,3,4"}, "is not allowed"),
        ("calibration_parameters", {"cal_data_type": "float32"}, "unknown key"),
        ("calibration_parameters", {"calibration_type": "mix"}, "is not allowed"),
        ("calibration_parameters", {"max_percentile": 0.3}, "is not allowed"),
        ("compiler_parameters", {"optimize_level": "O3"}, "is not allowed"),
        ("compiler_parameters", {"core_num": 2}, "has not 2 cores"),
        ("compiler_parameters", {"max_l2m_size": 1024}, "has no such memory"),
        ("compiler_parameters", {"compile_mode": "balance"}, "balance_factor belongs"),
        ("compiler_parameters", {"max_time_per_fc": 10}, "is not allowed"),
        ("model_parameters", {"remove_node_type": "Quantize;Conv"}, "is not allowed"),
        ("extra", {}, "unknown section"),
    ],
)
def test_the_validator_knows_what_hb_compile_refuses(section, values, problem):
    document = hb_compile_document(residual_deployment())
    document[section] = {**document.get(section, {}), **values}
    assert any(problem in found for found in hb_compile_problems(document))


def test_float_groups_are_stated():
    deployment = chain_deployment([Precision.FP32, Precision.FP16], names=["c0", "c1"])
    assert hmct_config(deployment)["node_config"] == {"c0": {"qtype": "float32"}, "c1": {"qtype": "float16"}}
    assert deployment.placement.stored[:2] == (F32, F16)
