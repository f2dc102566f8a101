"""Compute that is not quantized: how much, whether it could be, and what stands in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from search.assignment import Assignment
from search.graph.network import Group, Network, OpClass
from search.precision import Precision
from search.records.finding import Finding, Severity
from search.records.quantized import QuantizedRecord

_WITH_SUBGRAPHS = ("If", "Loop", "Scan")
Choices = Sequence[Sequence[Precision]]


def quantized_record(
    network: Network, choices: Choices, delivered: Assignment | None = None, *, is_float_allowed: bool = False
) -> QuantizedRecord | None:
    """Return how much of the compute is in integers; None for a network without compute.

    Compute is counted in multiply-accumulates, and in output elements where there are none.

    Args:
        network: Groups.
        choices: Per group what the chip can run it at, whatever the user fixed.
        delivered: Precision of every group; None takes integers wherever there are some.
        is_float_allowed: Whether the job accepts a network that cannot be quantized.
    """
    work = _work(network)
    total = sum(work)
    if not total:
        return None
    can = [any(not precision.is_float for precision in some) for some in choices]
    does = can if delivered is None else [not precision.is_float for precision in delivered.precisions]
    inside = [group.op_type in _WITH_SUBGRAPHS for group in network.groups]

    def share(chosen: Sequence[bool]) -> float:
        return sum(one for one, is_chosen in zip(work, chosen, strict=True) if is_chosen) / total

    return QuantizedRecord(
        share=share(does),
        possible=share(can),
        in_subgraphs=share(inside),
        tensors=_share_of_tensors(network, does),
        unit="macs" if network.total_macs else "elements",
        is_float_allowed=is_float_allowed,
    )


def quantized_findings(network: Network, choices: Choices, record: QuantizedRecord | None) -> Iterator[Finding]:
    """One finding where most of the compute has no integer form, or has one that was not chosen.

    Args:
        network: Groups.
        choices: As above.
        record: What ``quantized_record`` returned.
    """
    if record is None or not record.is_little:
        return
    evidence = {"share": record.share, "possible": record.possible, "in_subgraphs": record.in_subgraphs}
    if not record.is_bound:
        yield Finding(
            code="float-chosen",
            severity="warning",
            message=f"{1 - record.share:.1%} of the compute runs in float although {record.possible:.1%} of it has an "
            "integer form: by cost and accuracy, or by pins, float is what this search came to.",
            advice="See the cost of the trials beside it; for a smaller model look for a looser goal or free pins.",
            evidence=evidence,
        )
        return
    accepted: Severity = "warning" if record.is_float_allowed else "error"
    what = "No compute has" if record.possible < 1e-12 else f"Only {record.possible:.1%} of the compute has"
    bodies = f", {record.in_subgraphs:.1%} of the compute is in subgraphs" if record.in_subgraphs else ""
    yield Finding(
        code="mostly-float",
        severity=accepted,
        message=f"{what} an integer form on this target; the rest stays float: {_listed(network, choices)}{bodies}.",
        advice="What is measured is mostly the float model. Write these operators with others that have an integer "
        "form (see docs/targets.md), or take them out of the model; --allow-float accepts it.",
        evidence={**evidence, "nodes": [group.name for group in _stay(network, choices)]},
    )


def _share_of_tensors(network: Network, in_integers: Sequence[bool]) -> float | None:
    """Share of the values that groups write whose group is in integers; None where none writes a real value."""
    written = [len(group.outputs) for group in network.groups]
    total = sum(written)
    return sum(n for n, is_chosen in zip(written, in_integers, strict=True) if is_chosen) / total if total else None


def _work(network: Network) -> list[int]:
    if network.total_macs:
        return [group.macs for group in network.groups]
    return [0 if group.op_class is OpClass.MOVEMENT else group.elements for group in network.groups]


def _stay(network: Network, choices: Choices) -> list[Group]:
    return [
        group
        for group, work, some in zip(network.groups, _work(network), choices, strict=True)
        if work and all(precision.is_float for precision in some)
    ]


def _listed(network: Network, choices: Choices) -> str:
    counted = Counter(group.op_type for group in _stay(network, choices)).most_common(6)
    return ", ".join(f"{op_type} ({n})" for op_type, n in counted)
