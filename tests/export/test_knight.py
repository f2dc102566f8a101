"""The files below ``knight/``: run configuration, script and mix configuration follow the tool's rules."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace

import pytest

from search.assignment import Assignment
from search.deployment.deployment import OutputForm
from search.deployment.knight_plan import KnightMetric, KnightPlan
from search.errors import UsageError
from search.export.files import export_files
from search.export.knight import KnightFolder
from search.export.knight_config import run_config, run_config_problems
from search.export.knight_mix import mix_config, mix_problems
from search.export.knight_script import run_script
from search.graph.network import OpClass
from search.precision import Precision
from search.targets.placement import Placement
from tests.export.deployments import I8, I16, activation, chain_deployment, graph_of, group, residual_deployment


def knight_files(made):
    """The files by path, and what they leave unsaid."""
    folder = KnightFolder(made)
    files = {path: make() for path, make in folder.makes.items()}
    return {path: data if isinstance(data, bytes) else data.encode() for path, data in files.items()}, folder.gaps


def plan(**changes):
    base = KnightPlan(
        chip="TX5105C",
        family="TX510",
        takes_mix=False,
        method="kl",
        order=tuple(range(48)),
        n_calibration=96,
        seed=7,
        fixed_batch=None,
        n_evaluation=100,
        evaluation_rows=None,
        calibration_file="./calib.npz",
        evaluation_file="./eval.npz",
        preprocess=None,
        metric=KnightMetric(name="top1", output="t2", labels="labels"),
        exact={},
        ranks={"image": 4},
    )
    return replace(base, **changes)


def deployment(*precisions, **changes):
    precisions = precisions or (Precision.A8W8, Precision.A8W8)
    made = chain_deployment(list(precisions), names=[f"c{i}" for i in range(len(precisions))], march=None)
    return replace(made, **{"kind": "knight", "target": "tx5105c", "knight": plan(), **changes})


def test_the_run_configuration_holds_what_the_search_chose():
    document = json.loads(knight_files(deployment())[0]["knight/run_config.json"])
    assert document["chip"] == "TX5105C"
    quant = document["quant"]
    assert (quant["model"], quant["quant-mode"], quant["bit-width"]) == ("./knight/model.qdq.onnx", "kl", 8)
    assert quant["batch-size"] * quant["iteration"] == 48
    assert (quant["infer-func"], quant["user-defined-script"]) == ("bitbudget_calibrate", "./knight/infer.py")
    assert document["compile"]["onnx"] == "./knight/out/model.qdq_quantize.onnx"
    assert run_config_problems(document) == []


@pytest.mark.parametrize(("samples", "fixed", "batch", "runs"), [(48, None, 24, 2), (7, None, 7, 1), (37, None, 1, 37),
                                                                (10, 1, 1, 10), (10, 4, 4, 3)])  # fmt: skip
def test_batches_leave_no_rest_unless_the_model_fixes_them(samples, fixed, batch, runs):
    made = plan(order=tuple(range(samples)), fixed_batch=fixed)
    assert (made.batch, made.iterations) == (batch, runs)


def test_a_method_that_is_ours_alone_hands_over_the_model_with_its_scales():
    document = run_config(deployment(), plan(method="mix"), has_mix=False)
    assert document["quant"]["model"] == "./knight/model.qdq.onnx"
    assert document["quant"]["quant-mode"] == "min_max"
    assert "MODEL=${MODEL:-./knight/model.qdq.onnx}" in run_script(deployment(), plan(method="mix"))


def test_a_model_the_tool_cannot_read_is_left_aside_and_that_is_said():
    made = deployment(quantized=graph_of({"c0": "Conv"}, opset=21), knight=plan())
    files, gaps = knight_files(made)
    assert json.loads(files["knight/run_config.json"])["quant"]["model"] == "./ort_float.onnx"
    assert [gap.decision for gap in gaps] == ["threshold"]
    assert "needs opset 21" in files["knight/README.md"].decode()


def test_the_percentile_is_stated():
    document = run_config(deployment(), plan(method="percentile"), has_mix=False)
    assert document["quant"]["percent"] == 0.9999
    assert "-per 0.9999" in run_script(deployment(), plan(method="percentile"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bit-width": 4}, "quant.bit-width: 4 is none of 8, 16"),
        ({"quant-mode": "mix"}, "quant.quant-mode: 'mix' is none of"),
        ({"iteration": 0}, "quant.iteration must be at least 1"),
        ({"iteration": "8"}, "quant.iteration: '8' is of the wrong type"),
        ({"speed": 3}, "quant.speed: unknown key"),
        ({"model": ""}, "quant.model is missing"),
    ],
)
def test_what_the_tool_would_refuse_is_named(change, problem):
    document = run_config(deployment(), plan(), has_mix=False)
    assert any(problem in one for one in run_config_problems({**document, "quant": {**document["quant"], **change}}))


def test_sections_are_checked_too():
    assert run_config_problems([]) == ["the file must be a mapping"]
    found = run_config_problems({"quant": 1, "fly": {}, "compile": {"wings": 2}})
    assert found == ["unknown section 'fly'", "chip is missing", "compile.wings: unknown key", "quant is missing"]


def test_without_data_the_tool_draws_its_own_numbers():
    files = knight_files(deployment(knight=plan(calibration_file=None, evaluation_file=None, order=(), metric=None)))[0]
    quant = json.loads(files["knight/run_config.json"])["quant"]
    assert quant["infer-func"] == "infer_auto"
    assert "data" not in quant
    assert "knight/infer.py" not in files


def calls(tmp_path, script, *arguments, **variables):
    """Arguments of ``Knight`` as the script calls it."""
    (tmp_path / "knight").mkdir(exist_ok=True)
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "knight/run.sh").write_text(script)
    tool = tmp_path / "bin/Knight"
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    tool.chmod(0o755)
    done = subprocess.run(
        ["sh", "knight/run.sh", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", **variables},
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


def options(words):
    return {word: words[i + 1] for i, word in enumerate(words[:-1]) if word.startswith("-") and not word[1:].isdigit()}


def test_the_script_calls_the_tool_with_these_settings(tmp_path):
    script = run_script(deployment(knight=plan(exact={"image": "uint8"})), plan(exact={"image": "uint8"}))
    code, words = calls(tmp_path, script)
    assert code == 0
    assert words[:4] == ["--chip", "TX5105C", "quant", "onnx"]
    found = options(words)
    assert (found["-m"], found["-d"], found["-qm"], found["-b"]) == (
        "./knight/model.qdq.onnx",
        "./calib.npz",
        "kl",
        "8",
    )
    assert (found["-if"], found["-uds"], found["-qid"]) == ("bitbudget_calibrate", "./knight/infer.py", "uint8")
    assert int(found["-bs"]) * int(found["-i"]) == 48
    code, words = calls(tmp_path, script, "infer", EVALUATION="other data.npz")
    assert (options(words)["-if"], options(words)["-d"]) == ("bitbudget_evaluate", "other data.npz")
    assert (options(words)["-m"], options(words)["-r"]) == ("./knight/out/model.qdq_quantize.onnx", "infer")
    assert options(calls(tmp_path, script, "qdq")[1])["-m"] == "./knight/model.qdq.onnx"
    assert options(calls(tmp_path, script, "calibrate")[1])["-m"] == "./ort_float.onnx"
    layers = options(calls(tmp_path, script, "layers")[1])
    assert layers["-m"] == "./knight/out/steps/output_all_layers_quantize.onnx"
    assert calls(tmp_path, script, "build")[1][-1] == "./knight/run_config.json"
    assert calls(tmp_path, script, "fly")[0] == 2


@pytest.mark.parametrize("name", ["my model.onnx", "it's.onnx", "$(touch owned).onnx", "a}b`c`.onnx", '"q".onnx'])
def test_no_file_name_can_run_a_command(tmp_path, name):
    made = deployment(knight=plan(calibration_file=f"./{name}.npz"))
    code, words = calls(tmp_path, run_script(made, made.knight))
    assert code == 0
    assert options(words)["-d"] == f"./{name}.npz"
    assert not (tmp_path / "owned").exists()


def test_inputs_of_different_types_are_left_to_the_reader():
    ranks = {"image": 4, "mask": 4}
    mixed = plan(exact={"image": "uint8", "mask": "int8"}, ranks=ranks)
    some = plan(exact={"image": "uint8"}, ranks=ranks)
    for one in (mixed, some):
        assert "-qid" not in run_script(deployment(), one)
        files = knight_files(deployment(knight=one))[0]
        assert "set it by hand" in files["knight/README.md"].decode()


def test_the_page_says_why_there_is_no_mix_configuration_and_how_outputs_are_scaled():
    files = knight_files(deployment(outputs={"t2": OutputForm(dtype="int8", scale=0.25, zero_point=0)}))[0]
    page = files["knight/README.md"].decode()
    assert "knight/mix_config.json" not in files
    assert "the TX510 family computes in 8 bit only and takes none" in page
    assert "`t2`: 0.25" in page
    assert "48 of 96 calibration samples" in page
    assert "seed 7" in page


def test_a_family_that_mixes_gets_width_and_method_of_every_operator():
    made = deployment(Precision.A8W8, Precision.A16W16, knight=plan(takes_mix=True, family="TX511"))
    made = replace(made, placement=replace(made.placement, constants=(I8, I16)))
    files = knight_files(made)[0]
    assert json.loads(files["knight/mix_config.json"]) == {
        "c0": {"bitwidth": 8, "mode": "min_max"},
        "c1": {"bitwidth": 16, "mode": "min_max"},
    }
    assert json.loads(files["knight/run_config.json"])["quant"]["mix-config"] == "./knight/mix_config.json"
    assert "-gt" in files["knight/README.md"].decode()


def test_what_a_mix_configuration_cannot_say_keeps_it_away():
    made = deployment(Precision.A8W8, Precision.A16W8, knight=plan(takes_mix=True))
    assert mix_problems(made) == ["c1 runs at a16w8; the tool has one bit width for inputs and weights"]
    files = knight_files(made)[0]
    assert "knight/mix_config.json" not in files
    assert "c1 runs at a16w8" in files["knight/README.md"].decode()
    assert "mix-config" not in json.loads(files["knight/run_config.json"])["quant"]


def with_types(types, precisions, classes=None):
    """A chain with these operators."""
    made = deployment(*precisions, knight=plan(takes_mix=True))
    classes = classes or [OpClass.GEMM] * len(types)
    groups = tuple(
        replace(one, op_type=kind, op_class=op_class)
        for one, kind, op_class in zip(made.network.groups, types, classes, strict=True)
    )
    return replace(made, network=replace(made.network, groups=groups))


def test_recurrent_operators_and_layer_normalization_have_the_width_of_their_neighbours():
    low, high = Precision.A8W8, Precision.A16W16
    assert mix_problems(with_types(["Conv", "LSTM", "Conv"], [high, high, high])) == []
    found = mix_problems(with_types(["Conv", "LSTM", "Conv"], [low, high, high]))
    assert found == ["c1 has 16 bit, its neighbour c0 8"]
    norm = with_types(
        ["Conv", "LayerNormalization", "Conv"], [low, Precision.INT16, high], [OpClass.GEMM, OpClass.NORM, OpClass.GEMM]
    )
    assert mix_problems(norm) == ["c1 has 16 bit, its neighbour c0 8"]


def test_abs_stays_at_eight_bit():
    found = with_types(["Conv", "Abs"], [Precision.A16W16, Precision.INT16], [OpClass.GEMM, OpClass.ELEMENTWISE])
    assert mix_problems(found) == ["c1 is Abs, which is not mixed"]


def test_all_model_inputs_are_read_in_one_width():
    made = residual_deployment()
    network = made.network
    second = replace(network.groups[1], inputs=(activation(0, "/block/block.0/conv/Conv"),))
    groups = (network.groups[0], second)
    made = replace(
        made,
        network=replace(network, groups=groups, tensors=network.tensors[:3], constants=()),
        effective=Assignment((Precision.A8W8, Precision.A16W16)),
        placement=Placement(stored=(I16, I8, I16), read=((I8,), (I16,)), constants=()),
    )
    assert "model inputs are read in 8 and in 16 bit" in mix_problems(made)


def test_below_a_concat_a_recurrent_parent_is_no_wider_than_the_others():
    made = deployment(*[Precision.A16W16] * 3, knight=plan(takes_mix=True))
    network = made.network
    lstm = replace(network.groups[0], op_type="LSTM", op_class=OpClass.RECURRENT)
    other = replace(network.groups[1], inputs=(activation(0, "c1"),))
    slots = [activation(1, "c2", 0), activation(2, "c2", 1)]
    concat = group("c2", "Concat", OpClass.MOVEMENT, slots, [3])
    made = replace(
        made,
        network=replace(network, groups=(lstm, other, concat)),
        effective=Assignment((Precision.A16W16, Precision.A8W8, Precision.INT16)),
    )
    assert "c0 in front of c2 has more bits than c1" in mix_problems(made)


def test_groups_in_float_have_no_entry_and_quantized_ones_all_have():
    made = with_types(["Conv", "Loop"], [Precision.A8W8, Precision.FP32], [OpClass.GEMM, OpClass.FLOAT])
    assert mix_config(made) == {"c0": {"bitwidth": 8, "mode": "min_max"}}
    assert mix_problems(made) == []


def test_only_knight_chips_get_these_files():
    assert any(name.startswith("knight/") for name in export_files(deployment()).files)
    assert not any(name.startswith("knight/") for name in export_files(residual_deployment()).files)
    with pytest.raises(UsageError, match="names no chip of the Knight tools"):
        knight_files(residual_deployment())
