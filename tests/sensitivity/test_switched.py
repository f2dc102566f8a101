from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from search.evaluation.qdq import QdqOptions, build_qdq
from search.precision import Format
from search.runtime.session import Level, Session
from search.sensitivity.points import Point, PointKind, points_of
from search.sensitivity.switched import switched_model
from search.targets.placement import Placement
from search.targets.target import load_target
from search.work.loaded import Loaded
from tests.builders import conv, model, node
from tests.evaluation.loading import load_proto, min_max_grids, random_placement, uniform_placement
from tests.evaluation.random_graphs import random_graph

J6M = load_target("j6m", toolchain=None)
INTEGERS_AND_HALF = (Format.INT8, Format.INT16, Format.FP16)


def only(loaded: Loaded, placement: Placement, point: Point) -> Placement:
    """The placement with everything but one point in float; of its readers, those that read it as low as the point."""
    network = loaded.structure.network
    base = uniform_placement(network, Format.FP32)
    if point.kind is PointKind.WEIGHT:
        return replace(
            base, constants=tuple(point.fmt if c == point.index else Format.FP32 for c in range(len(network.constants)))
        )
    if placement.stored[point.index] is point.fmt:
        return replace(base, stored=tuple(point.fmt if t == point.index else f for t, f in enumerate(base.stored)))
    low = tuple(
        tuple(
            point.fmt if slot.tensor == point.index and fmt is point.fmt else Format.FP32
            for slot, fmt in zip(group.inputs, formats, strict=True)
        )
        for group, formats in zip(network.groups, placement.read, strict=True)
    )
    return replace(base, read=low)


def feeds_with(feeds: dict[str, Any], switches: Any, *on: Point) -> dict[str, Any]:
    return {**feeds, **{name: np.array(point in on) for point, name in switches.items()}}


@pytest.mark.parametrize("seed", range(12))
def test_one_switch_is_the_qdq_model_with_only_that_point_rounded(seed, tmp_path):
    proto, feeds = random_graph(seed, size=4)
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, J6M)
    rng = np.random.default_rng(seed)
    placement = random_placement(loaded.structure.network, rng)
    prescale = {t: 2 for t in range(len(loaded.structure.network.tensors)) if rng.random() < 0.2}
    points = points_of(loaded.structure.network, placement, INTEGERS_AND_HALF)
    switched = switched_model(loaded.template, placement, grids, points, prescale=prescale)
    onnx.checker.check_model(switched.model, full_check=True)
    session = Session(switched.model, level=Level.PLAIN)
    off = session.run(feeds_with(feeds, switched.switches))
    plain = Session(loaded.template.model, level=Level.PLAIN).run(feeds)
    for name, value in plain.items():
        np.testing.assert_array_equal(off[name], value)
    for point in points:
        made = build_qdq(loaded.template, only(loaded, placement, point), grids, QdqOptions(prescale=prescale)).model
        expected = Session(made, level=Level.PLAIN).run(feeds)
        got = session.run(feeds_with(feeds, switched.switches, point))
        for name, value in expected.items():
            if point.kind is PointKind.ACTIVATION:
                np.testing.assert_array_equal(got[name], value, err_msg=str(point))
            else:  # the gemm is summed in two terms
                np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-4, err_msg=str(point))


@pytest.mark.parametrize("seed", range(12, 22))
def test_all_switches_off_is_the_float_model_at_the_pinned_level(seed, tmp_path):
    # Branches keep the runtime from fusing across them: another summation order in a few gemms, measured below 1e-6.
    proto, feeds = random_graph(seed, size=4)
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, J6M)
    placement = uniform_placement(loaded.structure.network, Format.INT8)
    points = points_of(loaded.structure.network, placement, (Format.INT8,))
    switched = switched_model(loaded.template, placement, grids, points, prescale={})
    got = Session(switched.model, level=Level.PINNED).run(feeds_with(feeds, switched.switches))
    for name, value in Session(loaded.template.model, level=Level.PINNED).run(feeds).items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-6 * max(1.0, float(np.abs(value).max())))


def two_readers() -> onnx.ModelProto:
    """Sigmoid, whose output is a model output, read by two Convs."""
    rng = np.random.default_rng(1)
    nodes = [
        node("Sigmoid", "x", "s", "sig"),
        conv("low", "s", "y", weight="w"),
        conv("high", "s", "z", weight="w"),
    ]
    outputs = [f"{name}[N,3,4,4]" for name in ("s", "y", "z")]
    return model(nodes, ["x[N,3,4,4]"], outputs, {"w": rng.normal(size=(3, 3, 1, 1))})


@pytest.mark.parametrize("stored", [Format.INT16, Format.FP32])
def test_where_one_reader_reads_low_only_that_edge_is_rounded(stored, tmp_path):
    feeds = {"x": np.random.default_rng(0).normal(size=(4, 3, 4, 4)).astype(np.float32)}
    loaded = load_proto(two_readers(), feeds, tmp_path)
    network = loaded.structure.network
    grids = min_max_grids(loaded, feeds, J6M)
    base = uniform_placement(network, Format.FP32)
    s = loaded.template.roots["s"]
    read = tuple(tuple(Format.INT8 if g.name == "low" else stored for _ in g.inputs) for g in network.groups)
    placement = replace(base, read=read, stored=tuple(stored if t == s else f for t, f in enumerate(base.stored)))
    point = Point(PointKind.ACTIVATION, s, Format.INT8)
    assert point in points_of(network, placement, (Format.INT8,))
    switched = switched_model(loaded.template, placement, grids, [point], prescale={})
    session = Session(switched.model, level=Level.PLAIN)
    off = session.run(feeds_with(feeds, switched.switches))
    on = session.run(feeds_with(feeds, switched.switches, point))
    np.testing.assert_array_equal(on["s"], off["s"])
    np.testing.assert_array_equal(on["z"], off["z"])
    assert not np.array_equal(on["y"], off["y"])


def test_a_switch_on_a_model_output_changes_it(tmp_path):
    feeds = {"x": np.random.default_rng(0).normal(size=(4, 3, 4, 4)).astype(np.float32)}
    loaded = load_proto(two_readers(), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, J6M)
    placement = uniform_placement(loaded.structure.network, Format.INT8)
    point = Point(PointKind.ACTIVATION, loaded.template.roots["s"], Format.INT8)
    switched = switched_model(loaded.template, placement, grids, [point], prescale={})
    got = Session(switched.model, level=Level.PINNED).run(feeds_with(feeds, switched.switches, point))
    scale = np.float32(grids.activation(point.index, Format.INT8).scale)
    exact = Session(loaded.template.model, level=Level.PINNED).run(feeds)["s"]
    np.testing.assert_array_equal(got["s"], np.clip(np.rint(exact / scale), -128, 127) * scale)
