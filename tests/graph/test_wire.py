from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InvalidModelError
from search.graph.wire import scan_model
from tests.builders import graph, model, node


def scan(data, *, nodes=1000, fields=100_000, depth=16):
    return scan_model(data, where="model.onnx", max_nodes=nodes, max_fields=fields, max_depth=depth)


def chain(n):
    return model([node("Relu", f"v{i}", f"v{i + 1}") for i in range(n)], ["v0[1]"], [f"v{n}[1]"])


def test_counts_the_nodes_of_all_graphs():
    branch = graph([node("Relu", "x", "b")], [], ["b"])
    proto = model([node("If", "c", "y", then_branch=branch, else_branch=branch)], ["x[1]", "c:bool[]"], ["y[1]"])
    counts = scan(proto.SerializeToString())
    assert (counts.n_nodes, counts.depth) == (3, 2)


def test_refuses_more_nodes_than_the_limit():
    with pytest.raises(InvalidModelError, match="more than 9 nodes"):
        scan(chain(10).SerializeToString(), nodes=9)


def test_refuses_more_fields_than_the_limit():
    with pytest.raises(InvalidModelError, match="more than 20 fields"):
        scan(chain(10).SerializeToString(), fields=20)


def test_refuses_graphs_nested_deeper_than_the_limit():
    inner = graph([node("Relu", "x", "b")], [], ["b"])
    for _ in range(5):
        inner = graph([node("If", "c", "b", then_branch=inner, else_branch=inner)], [], ["b"])
    proto = model([node("If", "c", "y", then_branch=inner, else_branch=inner)], ["x[1]", "c:bool[]"], ["y[1]"])
    with pytest.raises(InvalidModelError, match="nests more than 4 graphs"):
        scan(proto.SerializeToString(), depth=4)


@given(st.binary(max_size=200))
def test_any_bytes_are_counted_or_refused(data):
    with contextlib.suppress(InvalidModelError):
        assert scan(data).n_fields <= len(data)


@given(st.integers(1, 400))
def test_a_truncated_model_never_raises_anything_else(size):
    data = chain(10).SerializeToString()
    with contextlib.suppress(InvalidModelError):
        scan(data[: min(size, len(data))])
