"""``horizon/qconfig_setter.py``: the assignment as templates of Horizon's ``QconfigSetter`` (OE 3.5.0 and later).

Later templates override earlier ones, except entries made with ``freeze=True``. The order is therefore: the chip's
default, the gemm default, the explicit map of modules, the thresholds of the search, then fixed scales and frozen
modules with ``freeze=True``.
Sets are explicit: a ratio applied to the plugin's own sensitivity table would choose other operators.
"""

from __future__ import annotations

from dataclasses import dataclass

from search.deployment.deployment import Deployment
from search.export.hmct_config import FLOAT_BY_DEFAULT
from search.export.python_text import DTYPES, dict_text, literal, number
from search.export.qconfig_plan import ModuleFormats, QconfigPlan, qconfig_plan
from search.export.setter_notes import notes


@dataclass(frozen=True, slots=True)
class SetterFile:
    """A generated Python file, and the node names it could not place."""

    text: str
    unmapped: tuple[str, ...]


_HEAD = '''"""Precisions for Horizon's plugin, new templates (OE 3.5.0 and later).

    from horizon_plugin_pytorch import set_march
    from horizon_plugin_pytorch.quantization import PrepareMethod, prepare

    set_march(MARCH)  # before prepare
    model = prepare(
        float_model, example_inputs=..., qconfig_setter=calibration_setter(), method=PrepareMethod.JIT_STRIP
    )

Calibrate with calibration_setter(), then prepare the float model again with a QAT setter. Read qconfig_changelogs.txt
afterwards: it lists what the plugin changed.
"""

import torch
from horizon_plugin_pytorch.quantization import QconfigSetter, get_qconfig, qint8, qint16
from horizon_plugin_pytorch.quantization.observer_v2 import HistogramObserver, MinMaxObserver
from horizon_plugin_pytorch.quantization.qconfig_setter import (
    ConvDtypeTemplate,
    MatmulDtypeTemplate,
    ModuleNameTemplate,
)

'''

_TEMPLATES = '''

def templates():
    """Later templates override earlier ones; frozen entries stay."""
    return [
        ModuleNameTemplate({"": DEFAULT}),
        ConvDtypeTemplate(input_dtype=qint8, weight_dtype=qint8),
        MatmulDtypeTemplate(input_dtypes=qint8),
        ModuleNameTemplate(MODULES),
        ModuleNameTemplate(THRESHOLDS),
        ModuleNameTemplate(FIXED, freeze=True),
        ModuleNameTemplate(FROZEN, freeze=True),
    ]


def calibration_setter():
    """For the calibration pass."""
    return QconfigSetter(reference_qconfig=get_qconfig(observer=HistogramObserver), templates=templates())


def qat_setter():
    """For training with scales that go on moving."""
    return QconfigSetter(reference_qconfig=get_qconfig(observer=MinMaxObserver), templates=templates())
'''

_FIXED_QAT = '''

def qat_fixed_activation_setter():
    """For training with the activation scales of calibration: the accuracy is within 5 % of float already."""
    return QconfigSetter(
        reference_qconfig=get_qconfig(observer=MinMaxObserver, fix_scale=True), templates=templates()
    )
'''


def qconfig_setter(deployment: Deployment) -> SetterFile:
    """Return the file for a deployment, and the nodes whose names give no module path."""
    plan = qconfig_plan(deployment)
    default = "torch.float16" if deployment.march in FLOAT_BY_DEFAULT else "qint8"
    settings = f"MARCH = {literal(deployment.march or '')}\nDEFAULT = {default}\n\n"
    tail = notes(plan)
    text = "".join(
        [
            _HEAD,
            settings,
            _maps(plan),
            _TEMPLATES,
            _FIXED_QAT if plan.fixed_activations else "",
            f"\n\n{tail}" if tail else "",
        ]
    )
    return SetterFile(text, tuple(entry.name for entry in plan.unmapped))


def _maps(plan: QconfigPlan) -> str:
    free = [entry for entry in plan.modules if not entry.frozen or entry.fixed]
    bounded = [entry for entry in plan.modules if entry.threshold is not None]
    measured = {entry.name: _bounded(entry) for entry in bounded if not entry.fixed}
    fixed = {entry.name: _bounded(entry) for entry in bounded if entry.fixed}
    frozen = {entry.name: _full(entry) for entry in plan.modules if entry.frozen and not entry.fixed}
    return "\n".join(
        [
            "# Inputs, weight and stored output of each module.\n"
            + dict_text({entry.name: _full(entry) for entry in free}, name="MODULES"),
            "# Outputs as they were measured: scale = threshold / 128 (qint8) or / 32768 (qint16). Calibration and\n"
            "# training begin from these and may move them.\n" + dict_text(measured, name="THRESHOLDS"),
            "# Outputs with a stated range, which nothing may move.\n" + dict_text(fixed, name="FIXED"),
            "# Modules that nothing later may change.\n" + dict_text(frozen, name="FROZEN"),
        ]
    )


def _full(entry: ModuleFormats) -> str:
    parts = []
    if entry.inputs:
        inputs = [DTYPES[fmt] for fmt in entry.input_formats]
        parts.append(f'"input": {inputs[0] if len(inputs) == 1 else "[" + ", ".join(inputs) + "]"}')
    if entry.weight is not None:
        parts.append(f'"weight": {DTYPES[entry.weight]}')
    if entry.output is not None:
        parts.append(f'"output": {DTYPES[entry.output]}')
    return "{" + ", ".join(parts) + "}"


def _bounded(entry: ModuleFormats) -> str:
    if entry.output is None or entry.threshold is None:
        raise ValueError(f"Module {entry.name!r} has no threshold.")
    return f'{{"dtype": {DTYPES[entry.output]}, "threshold": {number(entry.threshold)}}}'
