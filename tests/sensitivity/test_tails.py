"""A tail on the values at its cut gives what the whole graph gives."""

from itertools import pairwise

import numpy as np
import pytest

from search.calibration.collect import with_outputs
from search.precision import Format
from search.runtime.session import Level, Session
from search.sensitivity.points import points_of
from search.sensitivity.switched import switched_model
from search.sensitivity.tails import STRETCHES, cut_positions, positions, tail, values_at
from search.targets.target import load_target
from tests.builders import conv, model, node
from tests.evaluation.loading import load_proto, min_max_grids, random_placement
from tests.evaluation.random_graphs import random_graph

N = 8
WORK = {f"conv{i}": 1.0 for i in range(N)}


def proto():
    """Convolutions in a row, each with a switch on its output and a way around every second one."""
    rng = np.random.default_rng(0)
    nodes, value = [], "x"
    constants = {f"w{i}": rng.normal(0, 0.3, (3, 3, 3, 3)) for i in range(N)}
    for i in range(N):
        nodes.append(conv(f"conv{i}", value, f"c{i}", weight=f"w{i}", pads=[1] * 4))
        nodes.append(node("Mul", f"c{i} s{i}", f"m{i}", f"mul{i}"))
        nodes.append(node("Add", f"m{i} {value}", f"a{i}", f"add{i}") if i % 2 else node("Relu", f"m{i}", f"a{i}"))
        value = f"a{i}"
    switches = [f"s{i}[1]" for i in range(N)]
    return model(nodes, ["x[N,3,6,6]", *switches], [f"{value}[N,3,6,6]", "a2[N,3,6,6]"], constants)


@pytest.fixture(name="whole", scope="module")
def _whole():
    return proto()


def feeds(switched=None):
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 6)).astype(np.float32)
    ones = {f"s{i}": np.ones(1, np.float32) for i in range(N)}
    return {"x": x, **ones, **({} if switched is None else {switched: np.float32([0.5])})}


def test_cuts_share_the_work_evenly_and_start_with_the_graph(whole):
    cuts = cut_positions(whole, WORK)
    assert cuts[0] == 0
    assert len(cuts) == STRETCHES
    done = [sum(WORK.get(one.name, 0.0) for one in whole.graph.node[:cut]) for cut in cuts]
    assert all(0.5 <= b - a <= 2.5 for a, b in pairwise(done))
    assert cut_positions(whole, {}) == (0,)


@pytest.mark.parametrize("i", range(N))
def test_a_switch_acts_alike_in_the_whole_graph_and_in_its_tail(whole, i):
    cuts = cut_positions(whole, WORK)
    first = next(k for k, one in enumerate(whole.graph.node) if f"s{i}" in one.input)
    cut = max(c for c in cuts if c <= first)
    names = values_at(whole, cut)
    assert not {"x", f"s{i}"} & set(names)
    float_values = Session(with_outputs(whole, names), level=Level.DEPLOYED).run(feeds())
    crossing = {name: float_values[name] for name in names}
    part = tail(whole, cut, crossing)
    wanted = Session(whole, level=Level.DEPLOYED).run(feeds(f"s{i}"))
    given = {**feeds(f"s{i}"), **crossing}
    found = Session(part, level=Level.DEPLOYED).run({one.name: given[one.name] for one in part.graph.input})
    assert found
    for name, value in found.items():
        assert value == pytest.approx(wanted[name], abs=1e-5)
    late = {one.name for one in whole.graph.output} & {name for n in whole.graph.node[cut:] for name in n.output}
    assert set(found) == late


@pytest.mark.parametrize("seed", range(8))
def test_nothing_of_a_point_stands_before_its_position(seed, tmp_path):
    """At every cut up to its position, the tail on float values gives what the whole graph gives."""
    proto, feeds = random_graph(seed, size=5)
    loaded = load_proto(proto, feeds, tmp_path)
    template, network = loaded.template, loaded.structure.network
    placement = random_placement(network, np.random.default_rng(seed))
    grids = min_max_grids(loaded, feeds, load_target("j6m", toolchain=None))
    points = points_of(network, placement, (Format.INT8, Format.INT16, Format.FP16))
    at = positions(template, points)
    assert len(points) >= 3
    assert max(at.values()) > 0
    for point in points:
        switched = switched_model(template, placement, grids, [point], prescale={})
        nodes, cut = switched.model.graph.node, at[point]
        assert list(nodes[:cut]) == list(template.model.graph.node[:cut])
        on = {switched.switches[point]: np.array(True)}
        wanted = Session(switched.model, level=Level.PINNED).run({**feeds, **on})
        names = values_at(switched.model, cut)
        assert set(names) <= {*values_at(template.model, cut), *template.outputs}
        crossing = Session(with_outputs(template.model, names), level=Level.PINNED).run(feeds, names)
        part = tail(switched.model, cut, crossing)
        given = {**feeds, **on, **crossing}
        found = Session(part, level=Level.PINNED).run({one.name: given[one.name] for one in part.graph.input})
        for name, value in found.items():
            assert value == pytest.approx(wanted[name], abs=1e-5, nan_ok=True)
