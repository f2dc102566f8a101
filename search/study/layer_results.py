"""``layers.csv`` and ``layers.json`` from the stored profile: names and depth order from the network, no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from search.assignment import Assignment
from search.diagnosis.error_growth import Layer, error_growth
from search.graph.network import Network
from search.work.kinds.profile import Profiled

SCHEMA = "bitbudget.layers/1"


def layers_document(network: Network, effective: Assignment, profile: Profiled, tensors: bytes) -> dict[str, Any]:
    """Return the value of ``layers.json``.

    Args:
        network: The network.
        effective: What was profiled.
        profile: How the profile was made.
        tensors: The blob of ``profile``: one entry per tensor of the network.
    """
    found = json.loads(tensors)
    order = sorted(range(len(network.tensors)), key=lambda t: (_depth(network, t), t))
    place = {t: depth for depth, t in enumerate(order)}
    rows = [_row(network, effective, t, place) | found[t] for t in order]
    growth = error_growth([_layer(row) for row in rows])
    layers = [{**row, "fall_db": fall} for row, fall in zip(rows, growth.falls, strict=True)]
    return {
        "schema": SCHEMA,
        "evaluator": profile.evaluator,
        "samples": profile.samples,
        "start": growth.start,
        "summary": growth.summary,
        "layers": layers,
    }


def _depth(network: Network, tensor: int) -> int:
    writer = network.tensors[tensor].writer
    return -1 if writer is None else writer


def _row(network: Network, effective: Assignment, tensor: int, place: Mapping[int, int]) -> dict[str, Any]:
    one = network.tensors[tensor]
    group = None if one.writer is None else network.groups[one.writer]
    reads = () if group is None else group.inputs
    return {
        "depth": place[tensor],
        "id": f"t{tensor}" if one.writer is None else f"g{one.writer}",
        "op_name": one.op_name,
        "tensor": one.name,
        "op_type": "Input" if group is None else group.op_type,
        "group": None if one.writer is None else f"g{one.writer}",
        "precision": None if one.writer is None else effective[one.writer].value,
        "reads": sorted({place[slot.tensor] for slot in reads}),
    }


def _layer(row: Mapping[str, Any]) -> Layer:
    return Layer(
        name=row["op_name"],
        format=row["format"],
        sqnr_db=row["sqnr_db"],
        rounding_db=row["rounding_db"],
        reads=tuple(row["reads"]),
        reason=row["reason"],
    )
