"""The rules of a target laid over one network: per group what it may run at, reads and writes, and why not.

Everything here follows from the network alone, never from an assignment, so it is worked out once per study. Beyond
the rules of operators, three facts of the network count:

1. Groups that compute the grid of a GridSample, back to the first gemm or model input, run at the coordinate format.
2. A gemm that hands out its accumulator as a model output cannot run at what the target forbids beside that.
3. A gemm side whose tensors can only ever be stored in 8 bit gains nothing from reading 16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from search.errors import UsageError
from search.graph.network import Constant, ConstantKind, Network, OpClass, SlotKind
from search.precision import Format, Precision
from search.spec.suggestion import did_you_mean
from search.targets.rule import GEMM_PRECISIONS, OTHER_PRECISIONS, OperatorRules, vocabulary
from search.targets.target import Target
from search.targets.toolchain import window_text
from search.targets.work import own_time

_OUTPUT_PRECISIONS = ("high", "int8", "int16")


@dataclass(frozen=True)
class Allowed:
    """What one group may run at.

    Attributes:
        choices: Legal precisions, cheapest first.
        barred: Every other precision of its kind, and why not.
    """

    choices: tuple[Precision, ...]
    barred: Mapping[Precision, str]


class Rulebook:
    """The rules of ``target`` for the groups of ``network``.

    Args:
        network: Groups and tensors.
        target: The chip.
        output_precision: Model output to ``high | int8 | int16``; ``high`` where not given.

    Raises:
        UsageError: If ``output_precision`` names an unknown output or precision.
    """

    def __init__(self, network: Network, target: Target, output_precision: Mapping[str, str] | None = None) -> None:
        self.network = network
        self.target = target
        self.output_precision = dict(output_precision or {})
        _check_outputs(network, self.output_precision)
        merged: dict[tuple[OpClass, str], OperatorRules] = {}
        for group in network.groups:
            key = (group.op_class, group.op_type)
            merged[key] = merged.get(key) or target.operator_rules(*key)
        self.rules = tuple(merged[group.op_class, group.op_type] for group in network.groups)

    @cached_property
    def allowed(self) -> tuple[Allowed, ...]:
        """Per group what it may run at."""
        coordinates = _coordinate_groups(self.network, self.target)
        best: list[Format | None] = [None] * len(self.network.tensors)
        found = []
        for g, group in enumerate(self.network.groups):
            barred = self._barred(g, best, is_coordinate=g in coordinates)
            legal = [p for p in vocabulary(is_gemm=group.is_gemm) if p not in barred]
            for t in group.outputs:
                best[t] = max(fmt for p in legal for fmt in self.caps(g, p))
            found.append(Allowed(tuple(sorted(legal, key=self._order(g))), barred))
        return tuple(found)

    def read(self, group: int, slot: int, precision: Precision) -> Format:
        """Format in which a slot of a group is read at ``precision``."""
        return self.rules[group].read(self.network.groups[group].inputs[slot].kind, precision)

    def constant(self, constant: Constant, precision: Precision) -> Format:
        """Format of a constant while its group runs at ``precision``."""
        rules = self.rules[constant.group]
        if constant.kind is ConstantKind.WEIGHT:
            return precision.weight
        if self.network.groups[constant.group].op_class is OpClass.WARP and constant.index == 1:
            return rules.read(SlotKind.GRID, precision)
        return rules.constants.get(precision, precision.activation)

    def caps(self, group: int, precision: Precision) -> tuple[Format, ...]:
        """Formats a group can write at ``precision``, in ascending order."""
        formats = self.rules[group].writes[precision]
        high = self.target.output_rule
        if high is not None and precision.is_pair and self.network.feeds_only_outputs[group]:
            formats = (*formats, high.format)
        return tuple(sorted(set(formats)))

    def output_asks(self, tensor: int) -> tuple[Format, ...]:
        """Formats in which the model outputs that are this tensor want it."""
        names = self.network.tensors[tensor].model_outputs
        asked = (self.output_precision.get(name, "high") for name in names)
        return tuple(Format.FP32 if precision == "high" else Format(precision) for precision in asked)

    def _order(self, group: int) -> Callable[[Precision], tuple[int, int]]:
        spoken = vocabulary(is_gemm=self.network.groups[group].is_gemm)
        return lambda p: (own_time(self, group, p).picoseconds, spoken.index(p))

    def _barred(self, g: int, best: list[Format | None], *, is_coordinate: bool) -> dict[Precision, str]:
        group, rules = self.network.groups[g], self.rules[g]
        barred: dict[Precision, str] = {}
        for precision in vocabulary(is_gemm=group.is_gemm):
            if precision not in rules.precisions:
                barred[precision] = self._why_not(rules, precision)
        if is_coordinate:
            barred = self._bar_coordinates(barred)
        if group.op_class is OpClass.GEMM or group.op_class is OpClass.RECURRENT:
            self._bar_high_output(g, barred)
            self._bar_narrow_inputs(g, barred, best)
        return barred

    def _why_not(self, rules: OperatorRules, precision: Precision) -> str:
        gated = rules.closed.get(precision)
        if gated is not None:
            window = window_text(gated.toolchain_min, gated.toolchain_below)
            return f"{precision.value} needs a tool-chain {window}, this is {self.target.toolchain}: {gated.reason}"
        return rules.limit.reason if rules.limit is not None else f"target {self.target.name} does not list it"

    def _bar_coordinates(self, barred: dict[Precision, str]) -> dict[Precision, str]:
        rule = self.target.coordinate_rule
        if rule is None or Precision.uniform(rule.format) in barred:
            return barred
        reason = f"{rule.why} [coordinates, {rule.certainty}]"
        forced = Precision.uniform(rule.format)
        return {p: barred.get(p, reason) for p in OTHER_PRECISIONS if p is not forced}

    def _bar_high_output(self, g: int, barred: dict[Precision, str]) -> None:
        rule = self.target.output_rule
        if rule is None or not self.network.feeds_only_outputs[g]:
            return
        if any(Format.FP32 in self.output_asks(t) for t in self.network.groups[g].outputs):
            reason = f"{rule.why} [high-precision-output, {rule.certainty}]"
            left = [p for p in GEMM_PRECISIONS if p not in (*barred, *rule.forbids)]
            barred.update({p: reason for p in rule.forbids if left and p not in barred})

    def _bar_narrow_inputs(self, g: int, barred: dict[Precision, str], best: list[Format | None]) -> None:
        inputs = self.network.groups[g].inputs
        for kind, side in ((SlotKind.ACTIVATION, "activation"), (SlotKind.SECOND, "weight")):
            formats = [best[slot.tensor] for slot in inputs if slot.kind is kind]
            if not formats or any(fmt is not Format.INT8 for fmt in formats):
                continue
            reason = f"its {side} inputs can only be written in int8, so 16 bit there gain nothing [int8-only-input, I]"
            for wide in (p for p in GEMM_PRECISIONS if p.is_pair):
                if _narrowed(wide, side) not in (wide, *barred):
                    barred.setdefault(wide, reason)


def _narrowed(pair: Precision, side: str) -> Precision:
    """Return a gemm precision with 8 bit on one side."""
    if side == "activation":
        return Precision.pair(Format.INT8, pair.weight)
    return Precision.pair(pair.activation, Format.INT8)


def _coordinate_groups(network: Network, target: Target) -> frozenset[int]:
    """Groups between a GridSample's grid and the first gemm, float operator or model input before it."""
    if target.coordinate_rule is None:
        return frozenset()
    todo = [slot.tensor for group in network.groups for slot in group.inputs if slot.kind is SlotKind.GRID]
    found: set[int] = set()
    while todo:
        writer = network.tensors[todo.pop()].writer
        if writer is None or writer in found:
            continue
        group = network.groups[writer]
        if group.is_gemm or group.op_class in (OpClass.FLOAT, OpClass.WARP):
            continue
        found.add(writer)
        todo.extend(slot.tensor for slot in group.inputs)
    return frozenset(found)


def _check_outputs(network: Network, output_precision: Mapping[str, str]) -> None:
    for name, precision in output_precision.items():
        if name not in network.outputs:
            raise UsageError(
                f"outputs.{name}: the model has no such output{did_you_mean(name, network.outputs)}; "
                f"it has {', '.join(network.outputs)}."
            )
        if precision not in _OUTPUT_PRECISIONS:
            raise UsageError(
                f"outputs.{name}.precision is {precision!r}{did_you_mean(precision, _OUTPUT_PRECISIONS)}; "
                f"use one of {', '.join(_OUTPUT_PRECISIONS)}."
            )
