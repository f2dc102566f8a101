"""``horizon/quant_config.json``: the assignment in the words of HMCT, Horizon's post-training quantizer.

Every node that computes or moves a value has an entry, what is fused into another one too, so that nothing falls to a
default of the tool:

- gemm ``a16w8`` is ``{"qtype": "int16"}``; any other mix names both inputs; ``a16w16`` is int16 on both;
- any other node has ``qtype``, or one type per input where the chip reads them in different formats;
- what reads a value that is held pre-scaled runs in float32: the value itself is beyond float16.

Two files differ in how HMCT gets its thresholds only: it calibrates with the method that was measured, or it loads them
from the Q/DQ model (``quant_config_load.json``).

Node names are those of ``horizon/model.onnx``. HMCT renames nodes when it optimizes (Gemm becomes Conv), so names must
be checked against its ``*_optimized_float_model.onnx``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from search.deployment.deployment import Deployment
from search.deployment.members import Member, members
from search.errors import UsageError
from search.export.hmct_calibration import activation_section, node_section
from search.export.horizon_keys import quant_config_problems
from search.export.horizon_model import prescale_nodes
from search.graph.network import SlotKind
from search.precision import Format, Precision

CALIBRATED = "horizon/quant_config.json"
LOADED = "horizon/quant_config_load.json"
FLOAT_BY_DEFAULT = frozenset({"nash-p", "nash-h"})

Entry: TypeAlias = dict[str, Any]

_QTYPES = {Format.INT8: "int8", Format.INT16: "int16", Format.FP16: "float16", Format.FP32: "float32"}


def hmct_config(deployment: Deployment, *, loads: bool = False) -> dict[str, Any]:
    """Return the document as a JSON value, nodes in the order of the graph.

    Args:
        deployment: What is delivered.
        loads: Whether HMCT takes the thresholds of the Q/DQ model instead of calibrating.

    Raises:
        UsageError: If the document would hold something HMCT refuses; names what.
    """
    base = "float16" if deployment.march in FLOAT_BY_DEFAULT else "int8"
    activation = {"calibration_type": "load"} if loads else activation_section(deployment)
    document: dict[str, Any] = {
        "model_config": {
            "all_node_type": base,
            **_output_type(deployment),
            **({"activation": activation} if activation else {}),
        },
        "node_config": dict(node_entries(deployment, loads=loads)),
    }
    problems = quant_config_problems(document)
    if problems:
        raise UsageError(f"quant_config.json would not be valid: {problems[0]}.")
    return document


def hmct_text(deployment: Deployment, *, loads: bool = False) -> str:
    """Return the document as JSON text."""
    return json.dumps(hmct_config(deployment, loads=loads), indent=2, allow_nan=False) + "\n"


def node_entries(deployment: Deployment, *, loads: bool = False) -> Iterator[tuple[str, Entry]]:
    """Yield every node with its entry, then the Muls around pre-scaled values."""
    for member in members(deployment):
        entry = _entry(deployment, member)
        yield member.name, {**entry, **({} if loads else node_section(deployment, member))}
    for name, qtype in prescale_nodes(deployment).items():
        yield name, {"qtype": "float32"} if qtype == "float32" else {"input0": qtype, "input1": "float32"}


def _entry(deployment: Deployment, member: Member) -> Entry:
    if member.group is None or member.role == "float":
        return {"qtype": _QTYPES[member.format]}
    if _reads_prescaled(deployment, member):
        return {"qtype": "float32"}
    is_named = member.name == deployment.network.groups[member.group].name
    if is_named and deployment.network.groups[member.group].is_gemm:
        return _gemm_entry(deployment, member.group)
    different = {position: fmt for position, fmt in member.reads.items() if fmt is not member.format}
    if not different or not is_named:
        return {"qtype": _QTYPES[member.format]}
    return {f"input{position}": _QTYPES[fmt] for position, fmt in sorted(member.reads.items())}


def _reads_prescaled(deployment: Deployment, member: Member) -> bool:
    slots = () if member.group is None else deployment.slots(member.group)
    return any(
        slot.node == member.name and slot.tensor in deployment.prescale and fmt is Format.FP16 for slot, fmt in slots
    )


def _gemm_entry(deployment: Deployment, index: int) -> Entry:
    precision = deployment.effective[index]
    slots = deployment.network.groups[index].inputs
    # An LSTM or GRU also reads its states; the first input is what counts. A weight may stand before the activation.
    position = next((slot.index for slot in slots if slot.kind is SlotKind.ACTIVATION and slot.index in (0, 1)), 0)
    has_second = any(slot.kind is SlotKind.SECOND for slot in slots)
    if precision is Precision.A16W8 and not has_second and position == 0:
        return {"qtype": "int16"}
    if precision.activation is precision.weight and precision is not Precision.A16W16:
        return {"qtype": _QTYPES[precision.activation]}
    sides = {f"input{position}": precision.activation, f"input{1 - position}": precision.weight}
    return {side: _QTYPES[fmt] for side, fmt in sorted(sides.items())}


def _output_type(deployment: Deployment) -> dict[str, str]:
    """Return the one type of all outputs if it is an integer; the float default needs no word."""
    types = {form.dtype for form in deployment.outputs.values()}
    return {"model_output_type": next(iter(types))} if types in ({"int8"}, {"int16"}) else {}
