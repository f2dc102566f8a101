"""The assignment as the report shows it: one row per operator, and the share of compute per precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.export.report import text
from search.precision import Format, Precision
from search.records.result import NodeRecord

N_ROWS = 2000
_KINDS = {
    "a8w8": "int8",
    "a16w8": "a16",
    "a8w16": "w16",
    "a16w16": "int16",
    "int8": "int8",
    "int16": "int16",
    "fp16": "fp16",
    "fp32": "fp32",
}
_LETTERS = {Format.INT8: "8", Format.INT16: "16", Format.FP16: "F16", Format.FP32: "F32"}


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """An operator, or a group of them; ``share`` is of the compute, 0 to 1, None where it is not known."""

    name: str
    op_type: str
    group: str
    requested: str
    effective: str
    reason: str
    share: float | None


@dataclass(frozen=True, kw_only=True)
class Badge:
    """One side of a precision: ``kind`` chooses the colour, the letter says the same without it."""

    kind: str
    letter: str
    side: str = ""


@dataclass(frozen=True, kw_only=True)
class AssignmentRow:
    """One operator; ``share`` is of the network's compute, ``bar`` its length in percent of the largest."""

    name: str
    op_type: str
    group: str
    precision: str
    badges: tuple[Badge, ...]
    requested: str
    changed: bool
    reason: str
    share: str
    bar: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """One precision in the composition bar; ``start`` and ``length`` in percent."""

    precision: str
    kind: str
    start: float
    length: float
    told: str


@dataclass(frozen=True, kw_only=True)
class AssignmentView:
    """The table, its composition and a sentence on both."""

    rows: tuple[AssignmentRow, ...]
    parts: tuple[Part, ...]
    summary: str
    precisions: tuple[str, ...]
    n_left_out: int


def assignment_view(operators: Sequence[OperatorRow], nodes: Mapping[str, NodeRecord] | None = None) -> AssignmentView:
    """Return the view of operators, with the roles that ``assignment`` of the result knows of them."""
    known = nodes or {}
    largest = max((operator.share or 0.0 for operator in operators), default=0.0)
    rows = tuple(_row(operator, known.get(operator.name), largest) for operator in operators)
    parts = _composition(operators)
    return AssignmentView(
        rows=rows[:N_ROWS],
        parts=parts,
        summary=_summary(rows, parts),
        precisions=tuple(sorted({row.precision for row in rows if row.badges})),
        n_left_out=max(0, len(rows) - N_ROWS),
    )


def kind_of(precision: str) -> str:
    """Return what chooses the colour of a precision."""
    return _KINDS[precision]


def badges(precision: str) -> tuple[Badge, ...]:
    """Return the badges of a precision: two for a gemm pair (activations, weights), else one; none if unknown."""
    try:
        known = Precision(precision)
    except ValueError:
        return ()
    if not known.is_pair:
        return (Badge(kind=known.activation.value, letter=_LETTERS[known.activation]),)
    return (
        Badge(kind=known.activation.value, letter=_LETTERS[known.activation], side="a"),
        Badge(kind=known.weight.value, letter=_LETTERS[known.weight], side="w"),
    )


def _row(operator: OperatorRow, node: NodeRecord | None, largest: float) -> AssignmentRow:
    effective, requested = text.clean(operator.effective, 20), text.clean(operator.requested, 20)
    return AssignmentRow(
        name=text.clean(operator.name),
        op_type=text.clean(operator.op_type, 40),
        group=text.clean(operator.group, 40),
        precision=effective or text.MISSING,
        badges=badges(effective),
        requested=requested,
        changed=bool(requested) and requested != effective,
        reason=_reason(operator, node or NodeRecord()),
        share=text.percent(operator.share),
        bar=round(100 * operator.share / largest, 1) if operator.share and largest else 0.0,
    )


def _reason(operator: OperatorRow, node: NodeRecord) -> str:
    told = text.clean(operator.reason or node.why, 240)
    if node.role == "fused" and node.into:
        return f"fused into {text.clean(node.into, 60)}" + (f"; {told}" if told else "")
    if told:
        return told
    return {"pass_through": "passes its input through", "folded": "folded away", "float": "stays float"}.get(
        node.role, ""
    )


def _composition(operators: Sequence[OperatorRow]) -> tuple[Part, ...]:
    """Return the share of each precision: of compute where known, else of operators."""
    by_compute = sum(operator.share or 0.0 for operator in operators) > 0
    amounts = dict.fromkeys((precision.value for precision in Precision), 0.0)
    for operator in operators:
        if operator.effective in amounts:
            amounts[operator.effective] += (operator.share or 0.0) if by_compute else 1.0
    total = sum(amounts.values())
    parts, start = [], 0.0
    for precision, amount in amounts.items():
        if amount > 0:
            told = f"{text.percent(amount / total)} of {'compute' if by_compute else 'operators'}"
            length = 100 * amount / total
            parts.append(Part(precision=precision, kind=_KINDS[precision], start=start, length=length, told=told))
            start += length
    return tuple(parts)


def _summary(rows: Sequence[AssignmentRow], parts: Sequence[Part]) -> str:
    if not rows:
        return "No assignment was delivered."
    changed = sum(row.changed for row in rows)
    told = "; ".join(f"{part.precision} {part.told}" for part in parts)
    rules = f" {text.plural(changed, 'operator')} got another precision than requested, by a rule of the chip."
    return f"{text.plural(len(rows), 'operator')}. {told}." + (rules if changed else "")
