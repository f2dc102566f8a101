"""The rules of the chips, stated a second time in plain code and checked against 10^5 random requests per target."""

from __future__ import annotations

import numpy as np
import pytest

from search.assignment import Assignment
from search.graph.network import Network, OpClass, SlotKind
from search.precision import Format, Precision
from search.targets.legalise import Legaliser, uniform
from search.targets.placement import place_by
from search.targets.rulebook import Rulebook
from search.targets.target import load_target
from tests.targets.networks import random_network

N_NETWORKS, N_REQUESTS = 20, 5000
TARGETS = [
    ("j6e", "3.0.17"),
    ("j6m", "3.0.17"),
    ("j6m", "3.2.0"),
    ("j6m", "3.5.0"),
    ("j6p", "3.0.17"),
    ("j6h", "3.5.1"),
    ("ort-cpu", None),
    ("tx5105c", None),
]
INTEGER_UNIT = {"MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "GridSample"}
WRITES_INT8_ONLY = {"MaxPool", "Resize", "GridSample"}


def coordinate_groups(network: Network) -> set[int]:
    def walk(tensor: int) -> set[int]:
        writer = network.tensors[tensor].writer
        if writer is None:
            return set()
        group = network.groups[writer]
        if group.op_class in (OpClass.GEMM, OpClass.RECURRENT, OpClass.FLOAT, OpClass.WARP):
            return set()
        return {writer}.union(*(walk(slot.tensor) for slot in group.inputs))

    grids = [slot.tensor for group in network.groups for slot in group.inputs if slot.kind is SlotKind.GRID]
    return set().union(*(walk(t) for t in grids))


def legal_on_em(network: Network, g: int, version: tuple[int, ...]) -> set[str]:
    group = network.groups[g]
    if group.op_class is OpClass.FLOAT:
        return {"fp32"}
    if group.op_class in (OpClass.GEMM, OpClass.RECURRENT):
        legal = {"a8w8", "a16w8", "a8w16", "fp16"}
        if version >= (3, 2, 0) and not network.feeds_only_outputs[g]:
            legal.add("a16w16")

        def only_int8(kind: SlotKind) -> bool:
            writers = [network.tensors[slot.tensor].writer for slot in group.inputs if slot.kind is kind]
            types = [None if w is None else network.groups[w].op_type for w in writers]
            return version < (3, 5, 0) and bool(types) and all(t in WRITES_INT8_ONLY for t in types)

        if only_int8(SlotKind.ACTIVATION):
            legal = {p for p in legal if not p.startswith("a16")}
        if only_int8(SlotKind.SECOND):
            legal = {p for p in legal if not p.endswith("w16")}
        return legal
    legal = {"int8", "int16", "fp16"}
    if group.op_type in INTEGER_UNIT:
        legal = {"int8"} if version < (3, 5, 0) else {"int8", "int16"}
    return {"int16"} if g in coordinate_groups(network) and "int16" in legal else legal


def legal_on(target: str, version: str | None, network: Network, g: int) -> set[str]:
    group = network.groups[g]
    is_gemm = group.op_class in (OpClass.GEMM, OpClass.RECURRENT)
    if target in ("j6e", "j6m"):
        return legal_on_em(network, g, tuple(int(part) for part in (version or "0").split(".")))
    if group.op_class is OpClass.FLOAT:
        return {"fp32"}
    if target == "tx5105c":
        return {"a8w8"} if is_gemm else {"int8"}
    if target == "ort-cpu":
        if group.op_class is OpClass.WARP:
            return {"fp32"}
        return {"a8w8", "a16w8", "fp32"} if is_gemm else {"int8", "int16", "fp32"}
    if is_gemm:
        return {"a8w8", "a16w8", "a8w16", "a16w16"}
    return {"int16"} if g in coordinate_groups(network) else {"int8", "int16", "fp16", "fp32"}


PLUGIN = {"j6m": "plugin", "j6e": "plugin"}
"""The way on which every silent fall-back ends at 3.5.0."""


@pytest.mark.parametrize(("name", "version"), TARGETS)
def test_no_effective_assignment_of_random_requests_is_illegal(name, version):
    target = load_target(name, toolchain=version, route=PLUGIN.get(name))
    vocabulary = list(Precision)
    for seed in range(N_NETWORKS):
        network = random_network(seed)
        n = len(network.groups)
        legaliser = Legaliser(Rulebook(network, target))
        legal = [legal_on(name, version, network, g) for g in range(n)]
        rng = np.random.default_rng(seed)
        asked = rng.integers(0, len(vocabulary), (N_REQUESTS, n)).tolist()
        sides = rng.choice(["activation", "weight"], (N_REQUESTS, n)).tolist()
        checked: set[tuple[int, Precision]] = set()
        for row, side in zip(asked, sides, strict=True):
            effective = legaliser.legalise(Assignment(tuple(vocabulary[i] for i in row)), sides=side).effective
            checked.update(enumerate(effective.precisions))
        assert all(precision.value in legal[g] for g, precision in checked)
        assert {(g, p) for g in range(n) for p in legal[g]} == {(g, p.value) for g, p in checked}, (
            "every legal one occurs"
        )


@pytest.mark.parametrize(("name", "version"), TARGETS)
@pytest.mark.parametrize("level", ["low", "high"])
def test_the_uniform_extremes_are_legal_and_legalising_again_changes_nothing(name, version, level):
    target = load_target(name, toolchain=version, route=PLUGIN.get(name))
    for seed in range(N_NETWORKS):
        network = random_network(seed)
        legaliser = Legaliser(Rulebook(network, target))
        request = uniform(network, target, level)
        once = legaliser.legalise(request)
        for g, precision in enumerate(once.effective.precisions):
            assert precision.value in legal_on(name, version, network, g)
            assert (g in once.reasons) == (precision is not request[g])
        again = legaliser.legalise(once.effective)
        assert again.effective == once.effective
        assert not again.reasons


def test_random_requests_are_idempotent_too():
    target = load_target("j6m", toolchain="3.2.0")
    rng = np.random.default_rng(7)
    vocabulary = list(Precision)
    for seed in range(N_NETWORKS):
        network = random_network(seed)
        legaliser = Legaliser(Rulebook(network, target))
        for row in rng.integers(0, len(vocabulary), (100, len(network.groups))):
            once = legaliser.legalise(Assignment(tuple(vocabulary[i] for i in row))).effective
            assert legaliser.legalise(once).effective == once


@pytest.mark.parametrize(("name", "version"), TARGETS)
def test_placements_of_random_assignments_obey_the_slots_and_never_add_precision(name, version):
    target = load_target(name, toolchain=version, route=PLUGIN.get(name))
    rng = np.random.default_rng(3)
    for seed in range(N_NETWORKS):
        network = random_network(seed)
        book = Rulebook(network, target)
        for _ in range(20):
            effective = Assignment(tuple(rng.choice(np.array(a.choices, dtype=object)) for a in book.allowed))
            placement = place_by(book, effective)
            for g, group in enumerate(network.groups):
                formats = [placement.stored[t] for t in group.outputs]
                if name in ("j6e", "j6m") and version != "3.5.0" and group.op_type in WRITES_INT8_ONLY:
                    assert formats == [Format.INT8]
                if effective[g] in (Precision.FP16, Precision.FP32):
                    assert formats == [effective[g].activation]
                if effective[g].is_pair and not network.feeds_only_outputs[g] and name != "ort-cpu":
                    assert formats[0].is_integer or (formats[0] is Format.FP16 and name in ("j6p", "j6h"))
                for slot, fmt in zip(group.inputs, placement.read[g], strict=True):
                    assert fmt is expected_read(name, version, effective[g], slot.kind)
            for t in range(len(network.tensors)):
                asks = [placement.read[g][s] for g, s in network.readers[t]]
                if network.tensors[t].writer is None:
                    assert placement.stored[t] is max(asks, default=Format.FP32)


def expected_read(name: str, version: str | None, precision: Precision, kind: SlotKind) -> Format:
    if kind is SlotKind.GRID and name.startswith("j6"):
        return Format.INT16
    if kind is SlotKind.SUM_IN and name in ("j6e", "j6m") and version != "3.5.0":
        return Format.FP16 if precision is Precision.FP16 else Format.INT8
    if kind is SlotKind.SUM_IN and name in ("j6p", "j6h"):
        return Format.FP16
    return precision.weight if kind is SlotKind.SECOND else precision.activation
