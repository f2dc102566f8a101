"""``horizon/qconfig_setter_legacy.py``: the assignment as setters of the plugin before OE 3.5.0.

A tuple of setters is tried in order and the first that knows a module wins: frozen modules, then all others by name,
then the library's default for what no name is known for.
"""

from __future__ import annotations

from collections.abc import Iterable

from search.deployment.deployment import Deployment
from search.export.hmct_config import FLOAT_BY_DEFAULT
from search.export.python_text import DTYPES, comment, dict_text, literal, number
from search.export.qconfig_plan import ModuleFormats, QconfigPlan, qconfig_plan
from search.export.qconfig_setter import SetterFile
from search.export.setter_notes import notes

_HEAD = '''"""Precisions for Horizon's plugin, old setters (before OE 3.5.0).

    model = prepare(float_model, example_inputs=..., qconfig_setter=calibration_setters())

The first setter of the tuple that knows a module wins. Read model_check_result.txt afterwards: the plugin changes
formats that an operator does not support without an error.
"""

import torch
from horizon_plugin_pytorch.quantization import get_qconfig, qint8, qint16
{imports}

'''

_BODY = '''

def by_name(formats, fix_scale=False):
    return ModuleNameQconfigSetter(
        {{name: get_qconfig(fix_scale=fix_scale, **dtypes) for name, dtypes in formats.items()}}
    )


def calibration_setters():
    """For the calibration pass."""
    return (by_name(FROZEN), by_name(MODULES), {calibration})


def qat_setters():
    """For training with scales that go on moving."""
    return (by_name(FROZEN), by_name(MODULES), {qat})
'''

_FIXED_QAT = '''

def qat_fixed_activation_setters():
    """For training with the activation scales of calibration: the accuracy is within 5 % of float already."""
    return (by_name(FROZEN, fix_scale=True), by_name(MODULES, fix_scale=True), {fixed})
'''

_INTEGER_DEFAULTS = {
    "calibration": "default_calibration_qconfig_setter",
    "qat": "default_qat_qconfig_setter",
    "fixed": "default_qat_fixed_act_qconfig_setter",
}
_FLOAT_DEFAULTS = dict.fromkeys(_INTEGER_DEFAULTS, "all_fp16_qconfig_setter")


def qconfig_setter_legacy(deployment: Deployment) -> SetterFile:
    """Return the file for a deployment, and the nodes whose names give no module path."""
    plan = qconfig_plan(deployment)
    defaults = _FLOAT_DEFAULTS if deployment.march in FLOAT_BY_DEFAULT else _INTEGER_DEFAULTS
    used = {name for key, name in defaults.items() if key != "fixed" or plan.fixed_activations}
    tail = _limits(plan) + notes(plan)
    text = "".join(
        [
            _HEAD.format(imports=_imports({"ModuleNameQconfigSetter", *used})),
            f"MARCH = {literal(deployment.march or '')}\n\n",
            "# Modules that nothing later may change.\n" + _map(plan, "FROZEN", frozen=True),
            "\n# Inputs, weight and stored output of each module.\n" + _map(plan, "MODULES", frozen=False),
            _BODY.format(**defaults),
            _FIXED_QAT.format(**defaults) if plan.fixed_activations else "",
            f"\n\n{tail}" if tail else "",
        ]
    )
    return SetterFile(text, tuple(entry.name for entry in plan.unmapped))


def _imports(names: Iterable[str]) -> str:
    rows = "".join(f"    {name},\n" for name in sorted(names))
    return f"from horizon_plugin_pytorch.quantization.qconfig_template import (\n{rows})"


def _map(plan: QconfigPlan, name: str, *, frozen: bool) -> str:
    return dict_text({e.name: _dtypes(e) for e in plan.modules if e.frozen is frozen}, name=name)


def _dtypes(entry: ModuleFormats) -> str:
    """Return the arguments of ``get_qconfig``; it has one input type, so the first of two is given.

    What the module does not decide itself is that of its group: the plugin may fuse into any member, and an argument
    left out would mean int8.
    """
    own = (entry.inputs[0] if entry.inputs else None, entry.weight, entry.output)
    names = ("in_dtype", "weight_dtype", "out_dtype")
    formats = {name: mine or group for name, mine, group in zip(names, own, entry.whole, strict=True)}
    return "{" + ", ".join(f'"{name}": {DTYPES[fmt]}' for name, fmt in formats.items() if fmt is not None) + "}"


def _limits(plan: QconfigPlan) -> str:
    """Return comments on what these setters have no word for."""
    mixed = [entry for entry in plan.modules if len(entry.input_formats) > 1]
    fixed = [entry for entry in plan.modules if entry.fixed]
    bounded = [entry for entry in plan.modules if entry.threshold is not None and not entry.fixed]
    lines: list[str] = []
    if mixed:
        lines += ["Inputs in different formats; the setters above state the first. The others follow their writers:"]
        lines += [f"  {literal(e.name)}: {', '.join(DTYPES[fmt] for fmt in e.inputs)}" for e in mixed]
    if fixed:
        lines += ["Outputs with a stated range; give them a fixed scale of threshold / 2**(bits - 1):"]
        lines += [f"  {literal(e.name)}: threshold {number(e.threshold or 0.0)}" for e in fixed]
    if bounded:
        lines += ["Thresholds of the search. These setters have no word for them: calibration measures its own."]
        lines += [f"  {literal(e.name)}: threshold {number(e.threshold or 0.0)}" for e in bounded]
    return comment([*lines, ""] if lines else [])
