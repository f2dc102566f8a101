"""The assignment as the report shows it: one row per operator, and the share of compute per precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text
from search.precision import Format, Precision

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


def assignment_view(assignment: Mapping[str, Any], qconfig: Sequence[Mapping[str, Any]]) -> AssignmentView:
    """Return the view of ``qconfig``, joined with the roles that ``assignment`` of ``result.json`` knows.

    Without ``qconfig`` the rows are those of ``assignment``, without operator types and shares.
    """
    sources = qconfig or [
        {"name": name, "group": entry.get("group"), "effective": entry.get("precision")}
        for name, entry in assignment.items()
    ]
    largest = max((text.finite(source.get("share")) or 0.0 for source in sources), default=0.0)
    rows = tuple(_row(source, assignment.get(str(source.get("name")), {}), largest) for source in sources)
    parts = _composition(sources)
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


def _row(source: Mapping[str, Any], entry: Mapping[str, Any], largest: float) -> AssignmentRow:
    effective = text.clean(source.get("effective") or entry.get("precision") or "", 20)
    requested = text.clean(source.get("requested") or entry.get("requested") or "", 20)
    share = text.finite(source.get("share"))
    changed = bool(requested) and requested != effective
    return AssignmentRow(
        name=text.clean(source.get("name")),
        op_type=text.clean(source.get("op_type") or "", 40),
        group=text.clean(source.get("group") or "", 40),
        precision=effective or text.MISSING,
        badges=badges(effective),
        requested=requested,
        changed=changed,
        reason=_reason(source, entry),
        share=text.percent(share),
        bar=round(100 * share / largest, 1) if share and largest else 0.0,
    )


def _reason(source: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    role, into = entry.get("role"), entry.get("into")
    told = text.clean(source.get("reason") or entry.get("why") or "", 240)
    if role == "fused" and into:
        return f"fused into {text.clean(into, 60)}" + (f"; {told}" if told else "")
    if role in ("pass_through", "folded", "float") and not told:
        return {"pass_through": "passes its input through", "folded": "folded away", "float": "stays float"}[role]
    return told


def _composition(sources: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Return the share of each precision: of compute where known, else of operators."""
    shares = [text.finite(source.get("share")) or 0.0 for source in sources]
    by_compute = sum(shares) > 0
    amounts = dict.fromkeys((precision.value for precision in Precision), 0.0)
    for source, share in zip(sources, shares, strict=True):
        effective = str(source.get("effective") or "")
        if effective in amounts:
            amounts[effective] += share if by_compute else 1.0
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
