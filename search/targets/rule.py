"""Rules about operators: what a group may run at, what it writes, and how it reads its inputs and constants.

A rule applies to classes of groups (``gemm``) or to ONNX operator types (``MaxPool``). Of the rules that apply, a
later one replaces what an earlier one says about the same thing. Groups of class ``float`` obey only rules that name
``float``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from search.graph.network import OpClass, SlotKind
from search.precision import Format, Precision
from search.targets.evidence import Gated, Route

GEMM_PRECISIONS = (
    Precision.A8W8,
    Precision.A16W8,
    Precision.A8W16,
    Precision.A16W16,
    Precision.FP16,
    Precision.FP32,
)
OTHER_PRECISIONS = (Precision.INT8, Precision.INT16, Precision.FP16, Precision.FP32)
RowT = TypeVar("RowT")


class Rule(Gated):
    """One rule of a target file.

    Attributes:
        id: Name of the rule in reasons and messages.
        applies_to: Classes and ONNX operator types.
        precisions: The only precisions allowed, if given.
        also: Precisions allowed in addition.
        writes: Precision (or ``integer``, ``float``) to the formats the group can write.
        reads: Slot kind to (precision, ``integer`` or ``float`` to the format of that slot); else as the group.
        constants: Precision (or ``integer``, ``float``) to the format of constants; else as the group.
        why: The sentence a user reads when the rule changes a request.
        enabled: False removes the rule; for files that extend another.
    """

    id: str
    applies_to: tuple[str, ...]
    precisions: tuple[Precision, ...] | None = None
    also: tuple[Precision, ...] = ()
    writes: Mapping[str, tuple[Format, ...]] = {}
    reads: Mapping[SlotKind, Mapping[str, Format]] = {}
    constants: Mapping[str, Format] = {}
    why: str = ""
    enabled: bool = True

    def applies(self, op_class: OpClass, op_type: str) -> bool:
        """Whether groups of this class and operator obey the rule."""
        return op_class.value in self.applies_to or (op_class is not OpClass.FLOAT and op_type in self.applies_to)

    @property
    def reason(self) -> str:
        """What a user is told."""
        return f"{self.why or self.note or self.id} [{self.id}, {self.certainty}]"


@dataclass(frozen=True)
class OperatorRules:
    """The rules of one class and operator type, merged.

    Attributes:
        precisions: Legal precisions as far as the operator alone decides.
        limit: The rule that names them.
        closed: Precision to the rule that would allow it with another tool-chain.
        writes: Precision to the formats it can write.
        reads: Slot kind and precision to the format read.
        constants: Precision to the format of constants.
    """

    precisions: tuple[Precision, ...]
    limit: Rule | None
    closed: Mapping[Precision, Rule]
    writes: Mapping[Precision, tuple[Format, ...]]
    reads: Mapping[tuple[SlotKind, Precision], Format]
    constants: Mapping[Precision, Format]

    def read(self, kind: SlotKind, precision: Precision) -> Format:
        """Format in which a slot of this kind is read at ``precision``."""
        own = precision.weight if kind is SlotKind.SECOND else precision.activation
        if kind is SlotKind.STATE and own.is_integer:
            own = Format.FP32  # the recurrent state is never held in integers
        return self.reads.get((kind, precision), own)


def merge_rules(
    rules: Iterable[Rule], op_class: OpClass, op_type: str, toolchain: str | None, route: Route | None = None
) -> OperatorRules:
    """Return what ``rules``, in order, say about one class and operator type."""
    precisions: list[Precision] = []
    limit: Rule | None = None
    closed: dict[Precision, Rule] = {}
    writes: dict[Precision, tuple[Format, ...]] = {}
    reads: dict[tuple[SlotKind, Precision], Format] = {}
    constants: dict[Precision, Format] = {}
    for rule in rules:
        if not rule.enabled or not rule.applies(op_class, op_type):
            continue
        if not rule.holds(toolchain, route):
            closed.update(dict.fromkeys(rule.also if rule.is_on(route) else (), rule))
            continue
        if rule.precisions is not None:
            precisions, limit = list(rule.precisions), rule
        precisions.extend(p for p in rule.also if p not in precisions)
        writes.update(_spread(rule.writes))
        constants.update(_spread(rule.constants))
        reads.update({(kind, p): fmt for kind, table in rule.reads.items() for p, fmt in _spread(table).items()})
    kind = vocabulary(is_gemm=op_class in (OpClass.GEMM, OpClass.RECURRENT))
    return OperatorRules(
        precisions=tuple(p for p in precisions if p in kind),
        limit=limit,
        closed={p: rule for p, rule in closed.items() if p not in precisions},
        writes=writes,
        reads=reads,
        constants=constants,
    )


def vocabulary(*, is_gemm: bool) -> tuple[Precision, ...]:
    """Return the precisions in which gemm groups, or all others, are spoken of."""
    return GEMM_PRECISIONS if is_gemm else OTHER_PRECISIONS


def _spread(table: Mapping[str, RowT]) -> dict[Precision, RowT]:
    """Return the table with one row per precision; a precision's own row beats ``integer`` and ``float``."""
    found: dict[Precision, RowT] = {}
    for precision in Precision:
        kind = "float" if precision.is_float else "integer"
        value = table.get(precision.value, table.get(kind))
        if value is not None:
            found[precision] = value
    return found
