"""``horizon/quant_config.json``: the assignment in the words of HMCT, Horizon's post-training quantizer.

``all_node_type`` is the chip's own default (int8 on J6E/M, float16 on J6P/H); every node that differs has an entry:

- gemm ``a16w8`` is ``{"qtype": "int16"}``; any other mix names both inputs; ``a16w16`` is int16 on both;
- any other node has ``qtype``, or one type per input where the chip reads them in different formats.

If more than 60 % of the nodes of an operator type are the same int16, ``op_config`` says so once and the exceptions get
their own entries, the default type included: a whole-type rule can only be lowered node by node.

Node names are those of the prepared graph. HMCT renames nodes when it optimizes (Gemm becomes Conv), so names must be
checked against its ``*_optimized_float_model.onnx``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from search.errors import UsageError
from search.export.horizon_keys import quant_config_problems
from search.export.solution import Solution
from search.graph.network import OpClass, SlotKind
from search.precision import Format, Precision

COMPRESS_ABOVE = 0.6
FLOAT_BY_DEFAULT = frozenset({"nash-p", "nash-h"})

Entry: TypeAlias = dict[str, str]

_QTYPES = {Format.INT8: "int8", Format.INT16: "int16", Format.FP16: "float16", Format.FP32: "float32"}
_INT16: Entry = {"qtype": "int16"}
_CALIBRATION = {"min_max": "max", "kl": "kl", "kl_v2": "kl"}
"""Observers that HMCT has under its own names; for the others its default stays."""


def hmct_config(solution: Solution) -> dict[str, Any]:
    """Return the document as a JSON value with sorted nodes.

    Raises:
        UsageError: If the document would hold something HMCT refuses; names what.
    """
    base = "float16" if solution.march in FLOAT_BY_DEFAULT else "int8"
    entries = dict(node_entries(solution))
    rules = _op_rules(solution, entries)
    model: dict[str, Any] = {"all_node_type": base, **_output_type(solution), **_activation(solution)}
    document: dict[str, Any] = {"model_config": model}
    if rules:
        document["op_config"] = {op: dict(_INT16) for op in sorted(rules)}
    document["node_config"] = _exceptions(solution, entries, rules, base=base)
    problems = quant_config_problems(document)
    if problems:
        raise UsageError(f"quant_config.json would not be valid: {problems[0]}.")
    return document


def node_entries(solution: Solution) -> Iterator[tuple[str, Entry]]:
    """Yield each node that computes with its entry, defaults included."""
    for index, group in enumerate(solution.network.groups):
        if group.op_class is OpClass.FLOAT:
            yield from ((node, {"qtype": "float32"}) for node in group.nodes)
        elif group.is_gemm:
            yield group.name, _gemm_entry(solution, index)
            yield from _sum_entries(solution, index)
        else:
            entry = _uniform_or_inputs(solution, index)
            yield from ((node, entry if node == group.name else _arithmetic(solution, index)) for node in group.nodes)


def hmct_op_type(solution: Solution, node: str, default: str) -> str:
    """Return the operator a node is after HMCT's optimization: it turns Gemm into Conv."""
    op_type = solution.node_types.get(node, default)
    return "Conv" if op_type == "Gemm" else op_type


def _gemm_entry(solution: Solution, index: int) -> Entry:
    precision = solution.effective[index]
    slots = solution.network.groups[index].inputs
    # An LSTM or GRU also reads its states; the first input is what counts. A weight may stand before the activation.
    position = next((slot.index for slot in slots if slot.kind is SlotKind.ACTIVATION and slot.index in (0, 1)), 0)
    has_second = any(slot.kind is SlotKind.SECOND for slot in slots)
    if precision is Precision.A16W8 and not has_second and position == 0:
        return dict(_INT16)
    if precision.activation is precision.weight and precision is not Precision.A16W16:
        return {"qtype": _QTYPES[precision.activation]}
    sides = {f"input{position}": precision.activation, f"input{1 - position}": precision.weight}
    return {side: _QTYPES[fmt] for side, fmt in sorted(sides.items())}


def _sum_entries(solution: Solution, index: int) -> Iterator[tuple[str, Entry]]:
    """Yield the Add that is fused into a gemm: it reads the summed tensor in a format of its own."""
    for slot, fmt in solution.slots(index):
        if slot.kind is SlotKind.SUM_IN and slot.node != solution.network.groups[index].name:
            yield slot.node, {"qtype": _QTYPES[fmt]}


def _arithmetic(solution: Solution, index: int) -> Entry:
    return {"qtype": _QTYPES[solution.effective[index].activation]}


def _uniform_or_inputs(solution: Solution, index: int) -> Entry:
    group = solution.network.groups[index]
    own = {slot.index: fmt for slot, fmt in solution.slots(index) if slot.node == group.name and slot.index >= 0}
    if set(own.values()) <= {solution.effective[index].activation}:
        return _arithmetic(solution, index)
    return {f"input{position}": _QTYPES[fmt] for position, fmt in sorted(own.items())}


def _op_rules(solution: Solution, entries: Mapping[str, Entry]) -> frozenset[str]:
    """Return the operator types that are int16 in more than 60 % of all their nodes."""
    kinds = {node: hmct_op_type(solution, node, "") for node in {*entries, *solution.node_types}}
    total = Counter(kinds.values())
    high = Counter(kinds[node] for node, entry in entries.items() if entry == _INT16)
    return frozenset(op for op, n in high.items() if op and n > 1 and n > COMPRESS_ABOVE * total[op])


def _exceptions(
    solution: Solution, entries: Mapping[str, Entry], rules: frozenset[str], *, base: str
) -> dict[str, Entry]:
    kept = {}
    for node in sorted({*entries, *solution.node_types}):
        entry = entries.get(node, {"qtype": base})
        implied = _INT16 if hmct_op_type(solution, node, "") in rules else {"qtype": base}
        if entry != implied:
            kept[node] = entry
    return kept


def _output_type(solution: Solution) -> dict[str, str]:
    """Return the one type of all outputs if it is an integer; the float default needs no word."""
    types = {form.dtype for form in solution.outputs.values()}
    return {"model_output_type": next(iter(types))} if types in ({"int8"}, {"int16"}) else {}


def _activation(solution: Solution) -> dict[str, Any]:
    methods = {o.method for (_, bits), o in solution.observations.items() if bits == 8 and not o.fixed}
    known = {_CALIBRATION.get(method) for method in methods}
    if len(known) == 1 and None not in known:
        return {"activation": {"calibration_type": known.pop()}}
    return {}
