"""What reading the model turned up: notes, unfused patterns, operators that stay float, shared constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from search.graph.description import ModelDescription
from search.graph.fusion import Fusion
from search.graph.network import Group, Network, OpClass
from search.records.finding import Finding

_FUSABLE = frozenset({"Relu", "Clip", "Add", "BatchNormalization"})


def model_findings(model: ModelDescription, fusion: Fusion) -> Iterator[Finding]:
    """Findings from the description of a model.

    Args:
        model: The model.
        fusion: What the runtime of the target joins.
    """
    network = model.network
    for note in model.notes:
        if note.code != "opset-converted":  # told below, with the self-test
            evidence = {"nodes": list(note.nodes)} if note.nodes else {}
            yield Finding(code=note.code, severity="note", message=note.text, evidence=evidence)
    yield from _float_operators(network)
    yield from _unfused(network, fusion)
    yield from _shared(network)
    yield from _cut(model.ranking)
    before, after = model.opset
    if before != after:
        yield Finding(
            code="opset-converted",
            severity="note",
            message=f"The model was converted from opset {before} to {after}; the self-test found it unchanged.",
            evidence={"from": before, "to": after, "largest_difference": dict(model.self_test)},
        )


def _float_operators(network: Network) -> Iterator[Finding]:
    stay = [group for group in network.groups if group.op_class is OpClass.FLOAT]
    if not stay:
        return
    total = network.total_macs or 1
    counted = Counter(group.op_type for group in stay)
    share = sum(group.macs for group in stay) / total
    listed = ", ".join(f"{op_type} ({n})" for op_type, n in sorted(counted.items()))
    yield Finding(
        code="float-operators",
        severity="warning",
        message=f"{len(stay)} operators stay float and run outside the integer units: {listed}; "
        f"{share:.1%} of the multiply-accumulates.",
        advice="Replace them in the model if latency matters.",
        evidence={"nodes": [group.name for group in stay], "share": share},
    )


def _unfused(network: Network, fusion: Fusion) -> Iterator[Finding]:
    """Relu, Clip or Add right behind a gemm that could not take it in, though the runtime joins them."""
    writers = {t: group for group in network.groups for t in group.outputs}
    for group in network.groups:
        if group.op_type not in _FUSABLE or len(group.inputs) > 2:
            continue
        behind = [writers[slot.tensor] for slot in group.inputs if slot.tensor in writers]
        gemms = [writer for writer in behind if writer.op_class is OpClass.GEMM and _joins(group, writer, fusion)]
        if gemms:
            yield Finding(
                code="unfused",
                severity="warning",
                message=f"{group.op_type} {group.name!r} follows {gemms[0].op_type} {gemms[0].name!r} but is not "
                "fused: the value between them is read elsewhere, is a model output, or is broadcast.",
                advice="If the chip shall fuse them, let nothing else read the value between them.",
                evidence={"node": group.name, "gemm": gemms[0].name},
            )


def _joins(group: Group, gemm: Group, fusion: Fusion) -> bool:
    if group.op_type == "Add":
        return gemm.op_type in fusion.sum_into
    return group.op_type == "BatchNormalization" or group.op_type in fusion.after_gemm


def _shared(network: Network) -> Iterator[Finding]:
    """Initializers that several nodes read: one set of scales, several distributions."""
    owners: dict[str, list[str]] = {}
    for constant in network.constants:
        owners.setdefault(constant.name, []).append(network.groups[constant.group].name)
    for name, nodes in owners.items():
        if len(nodes) > 1:
            yield Finding(
                code="shared-weights",
                severity="warning",
                message=f"{len(nodes)} nodes share the weights {name!r}: {', '.join(nodes[:4])}.",
                advice="In quantization-aware training a shared module has one set of scales for all its calls; copy "
                "it if the distributions differ.",
                evidence={"weights": name, "nodes": nodes},
            )


def _cut(ranking: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for output, values in ranking.items():
        if list(values) != [output]:
            yield Finding(
                code="ranking-cut",
                severity="note",
                message=f"Output {output!r} lies behind an operator that picks or sorts; its points are ranked by "
                f"{', '.join(values) if values else 'nothing, it has no real values before the cut'}.",
                advice="The task metric still runs on the whole model.",
                evidence={"output": output, "values": list(values)},
            )
