"""The generated files are parsed, the assignment is rebuilt from them and compared with the deployment."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from search.deployment.deployment import Deployment, GroupPin, Observation
from search.export.qconfig_setter import qconfig_setter
from search.export.qconfig_setter_legacy import qconfig_setter_legacy
from search.export.torch_scope import scope_of
from search.graph.network import SlotKind
from search.precision import Format, Precision
from tests.export.deployments import F16, I8, I16, chain_deployment, residual_deployment

FORMATS = {"qint8": I8, "qint16": I16, "torch.float16": F16, "torch.float32": Format.FP32}


def constants(text: str) -> dict[str, Any]:
    """Module-level assignments, dtype names as text."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _value(node.value)
    return found


def functions(text: str) -> dict[str, str]:
    return {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key}
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Name() | ast.Attribute():
            return ast.unparse(node)
        case _:
            return ast.literal_eval(node)


def rebuilt(deployment: Deployment, modules: dict[str, dict[str, Any]], *, inputs: str, weight: str) -> list[Precision]:
    """The assignment as the entries of the naming modules say it."""
    found = []
    for group in deployment.network.groups:
        entry = modules[scope_of(group.name)]
        read = entry[inputs] if isinstance(entry[inputs], list) else [entry[inputs]]
        first = FORMATS[read[0]]
        if not group.is_gemm:
            found.append(Precision.uniform(first))
            continue
        has_second = any(slot.kind is SlotKind.SECOND for slot in group.inputs)
        second = read[-1] if has_second else entry[weight]
        found.append(Precision.pair(first, FORMATS[second]))
    return found


def new_modules(text: str) -> dict[str, dict[str, Any]]:
    values = constants(text)
    return {**values["MODULES"], **values["FROZEN"]}


def test_the_new_file_holds_the_assignment():
    deployment = residual_deployment()
    text = qconfig_setter(deployment).text
    assert (
        tuple(rebuilt(deployment, new_modules(text), inputs="input", weight="weight"))
        == deployment.effective.precisions
    )
    assert constants(text)["MARCH"] == "nash-m"
    assert constants(text)["DEFAULT"] == "qint8"


@pytest.mark.parametrize(
    "precision", [Precision.A8W8, Precision.A16W8, Precision.A8W16, Precision.A16W16, Precision.FP16]
)
def test_each_precision_survives_both_files(precision):
    deployment = chain_deployment([precision, Precision.A8W8])
    new, legacy = qconfig_setter(deployment).text, qconfig_setter_legacy(deployment).text
    assert rebuilt(deployment, new_modules(new), inputs="input", weight="weight") == [precision, Precision.A8W8]
    values = constants(legacy)
    modules = {**values["MODULES"], **values["FROZEN"]}
    assert rebuilt(deployment, modules, inputs="in_dtype", weight="weight_dtype") == [precision, Precision.A8W8]


def test_outputs_are_the_stored_formats_at_the_module_that_ends_the_group():
    deployment = residual_deployment()
    modules = new_modules(qconfig_setter(deployment).text)
    outputs = {name: entry["output"] for name, entry in modules.items() if "output" in entry}
    assert outputs == {
        "stem.act": "qint16",
        "norm": "torch.float16",
        "attn": "qint16",
        "head.layers.0": "torch.float32",
    }


def test_pinned_and_scarce_fp16_modules_are_frozen_and_nothing_else():
    values = constants(qconfig_setter(residual_deployment()).text)
    assert set(values["FROZEN"]) == {"norm", "head.layers.0"}
    assert not set(values["FROZEN"]) & set(values["MODULES"])
    assert values["FROZEN"]["norm"] == {
        "input": "torch.float16",
        "weight": "torch.float16",
        "output": "torch.float16",
    }


def test_fp16_is_the_rule_on_j6p_and_not_frozen():
    values = constants(qconfig_setter(residual_deployment(march="nash-p", pins={})).text)
    assert values["DEFAULT"] == "torch.float16"
    assert values["FROZEN"] == {}


def test_a_fixed_range_becomes_a_threshold():
    deployment = residual_deployment()
    values = constants(qconfig_setter(deployment).text)
    fixed = values["FIXED"]["stem.act"]
    assert fixed["dtype"] == "qint16"
    assert fixed["threshold"] / 32768 == deployment.grid(1, Format.INT16).scale


def test_a_frozen_module_with_a_fixed_range_keeps_its_threshold():
    deployment = residual_deployment(pins={0: GroupPin(match="stem.*", freeze=True)})
    values = constants(qconfig_setter(deployment).text)
    assert "stem.act" in values["MODULES"]
    assert "stem.act" in values["FIXED"]
    assert "stem.act" not in values["FROZEN"]
    assert "stem.conv" in values["FROZEN"]


def test_templates_stand_in_the_order_in_which_later_ones_win():
    body = functions(qconfig_setter(residual_deployment()).text)["templates"]
    order = [
        "{'': DEFAULT}",
        "ConvDtypeTemplate(input",
        "MatmulDtypeTemplate(input",
        "(MODULES)",
        "(FIXED, freeze=True)",
        "(FROZEN, freeze=True)",
    ]
    positions = [body.index(part) for part in order]
    assert positions == sorted(positions)


def test_legacy_setters_stand_in_the_order_in_which_the_first_wins():
    found = functions(qconfig_setter_legacy(residual_deployment()).text)
    assert "(by_name(FROZEN), by_name(MODULES), default_calibration_qconfig_setter)" in found["calibration_setters"]
    assert "(by_name(FROZEN), by_name(MODULES), default_qat_qconfig_setter)" in found["qat_setters"]
    assert "default_qat_fixed_act_qconfig_setter" in found["qat_fixed_activation_setters"]


def test_legacy_entries_are_whole_because_fusion_may_keep_any_member():
    modules = constants(qconfig_setter_legacy(residual_deployment()).text)["MODULES"]
    whole = {"in_dtype": "qint8", "weight_dtype": "qint8", "out_dtype": "qint16"}
    assert modules["stem.conv"] == modules["stem.act"] == whole


def test_the_legacy_default_on_j6p_is_fp16():
    text = qconfig_setter_legacy(residual_deployment(march="nash-p")).text
    assert "all_fp16_qconfig_setter" in functions(text)["calibration_setters"]
    assert "default_qat" not in text


@pytest.mark.parametrize(("ratio", "offered"), [(0.95, True), (0.9499, False), (None, False)])
def test_fixed_activations_are_offered_from_95_percent_of_float(ratio, offered):
    deployment = residual_deployment(achieved_ratio=ratio)
    assert ("qat_fixed_activation_setter" in functions(qconfig_setter(deployment).text)) is offered
    assert ("qat_fixed_activation_setters" in functions(qconfig_setter_legacy(deployment).text)) is offered
    assert ("default_qat_fixed_act_qconfig_setter" in qconfig_setter_legacy(deployment).text) is offered


def test_only_names_of_the_plugin_are_imported():
    modules = {"torch": {None}}
    for node in ast.parse(qconfig_setter(residual_deployment()).text).body:
        if isinstance(node, ast.ImportFrom):
            modules[node.module or ""] = {alias.name for alias in node.names}
    assert modules == {
        "torch": {None},
        "horizon_plugin_pytorch.quantization": {"QconfigSetter", "get_qconfig", "qint8", "qint16"},
        "horizon_plugin_pytorch.quantization.observer_v2": {"HistogramObserver", "MinMaxObserver"},
        "horizon_plugin_pytorch.quantization.qconfig_setter": {
            "ConvDtypeTemplate",
            "MatmulDtypeTemplate",
            "ModuleNameTemplate",
        },
    }


def test_names_without_a_module_are_returned_and_written_as_comments():
    deployment = chain_deployment([Precision.A8W8, Precision.A16W8], names=["Conv_1", "/body/Conv"])
    for made in (qconfig_setter(deployment), qconfig_setter_legacy(deployment)):
        assert made.unmapped == ("Conv_1",)
        assert "#   'Conv_1': input qint8, weight qint8, output qint16" in made.text
        assert "body" in constants(made.text)["MODULES"]


def test_the_added_tensor_of_a_functional_add_is_listed_for_the_hand():
    # "/block/block.0/Add" runs in the forward of the block, which also holds the conv.
    made = qconfig_setter(residual_deployment())
    assert made.unmapped == ("/block/block.0/Add",)
    assert "#   '/block/block.0/Add': input qint8, output qint16" in made.text


def test_model_inputs_are_listed_with_their_threshold():
    deployment = residual_deployment(observations={(0, 8): Observation(method="fixed", fixed=True)})
    assert "#   'image': output qint8 with threshold 1.0" in qconfig_setter(deployment).text


def test_a_shared_module_is_named():
    names = ["/act/Conv", "/act/Conv_1"]
    made = qconfig_setter(chain_deployment([Precision.A8W8, Precision.A8W8], names=names))
    assert made.unmapped == tuple(names)
    assert "Copy them:\n#   'act'" in made.text


HOSTILE = [
    "conv\nimport os",
    'conv"""',
    "conv'\\",
    "\u2028conv\r",
    "{name}",
    '/a/b"]\nraise SystemExit/Conv',
    "%s /x/Conv #",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_node_name_cannot_leave_its_comment(name):
    plain = chain_deployment([Precision.A8W8], names=["plain"])
    hostile = chain_deployment([Precision.A8W8], names=[name])
    for make in (qconfig_setter, qconfig_setter_legacy):
        text = make(hostile).text
        assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(make(plain).text))
        assert text.isascii()


def test_setters_are_the_same_every_time():
    assert qconfig_setter(residual_deployment()) == qconfig_setter(residual_deployment())
    assert qconfig_setter_legacy(residual_deployment()) == qconfig_setter_legacy(residual_deployment())
