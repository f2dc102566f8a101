from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from search.graph.work import elements_of, macs_in_bodies, macs_of
from tests.builders import conv, graph, model, node, run

CASES = [
    (conv("n", "x", "y", weight="w"), (1, 3, 8, 8), {"w": (4, 3, 3, 3)}),
    (conv("n", "x", "y", weight="w", pads=[1, 1, 1, 1], strides=[2, 2]), (2, 3, 9, 9), {"w": (4, 3, 3, 3)}),
    (conv("n", "x", "y", weight="w", group=3), (1, 3, 8, 8), {"w": (6, 1, 3, 3)}),
    (conv("n", "x", "y", weight="w", dilations=[2]), (1, 3, 16), {"w": (4, 3, 5)}),
    (conv("n", "x", "y", weight="w", op_type="ConvTranspose", strides=[2, 2]), (1, 3, 5, 5), {"w": (3, 4, 2, 2)}),
    (conv("n", "x", "y", weight="w", op_type="ConvTranspose", group=2), (1, 4, 5, 5), {"w": (4, 3, 2, 2)}),
    (node("Gemm", "x w", "y", "n"), (2, 3), {"w": (3, 4)}),
    (node("Gemm", "x w", "y", "n", transA=1, transB=1), (3, 2), {"w": (4, 3)}),
    (node("MatMul", "x w", "y", "n"), (2, 5, 3), {"w": (3, 4)}),
    (node("MatMul", "w x", "y", "n"), (2, 3, 5), {"w": (4, 3)}),
    (node("MatMul", "x w", "y", "n"), (2, 5, 3), {"w": (3,)}),
    (node("Einsum", "x w", "y", "n", equation="bij,jk->bik"), (2, 5, 3), {"w": (3, 4)}),
]


@pytest.mark.parametrize(("operator", "data", "weights"), CASES)
def test_macs_are_the_products_that_ones_sum_up_to(operator, data, weights):
    """With ones for data and weights every product is 1, so the sum of the output counts them (no padding here)."""
    arrays = {name: np.ones(shape, np.float32) for name, shape in weights.items()}
    proto = model([operator], [f"x[{','.join(map(str, data))}]"], ["y"], arrays)
    out = run(proto, {"x": np.ones(data, np.float32)})["y"]
    graph = ir.from_proto(proto).graph
    shapes = {"x": data, "y": out.shape}
    macs = macs_of(graph[0], shapes)
    if "pads" in str(operator):  # the chip multiplies the padding too
        assert macs == out.size * 27 >= out.sum()
    else:
        assert macs == int(out.sum())
    assert elements_of(graph[0], shapes) == out.size


@pytest.mark.parametrize(("op_type", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_operators_multiply_input_and_state_for_every_gate(op_type, gates, directions):
    n_steps, batch, n_inputs, hidden = 5, 2, 3, 6
    shapes = {
        "x": (n_steps, batch, n_inputs),
        "w": (directions, gates * hidden, n_inputs),
        "r": (directions, gates * hidden, hidden),
        "y": (n_steps, directions, batch, hidden),
    }
    texts = [f"{name}[{','.join(map(str, shape))}]" for name, shape in shapes.items() if name != "y"]
    proto = model([node(op_type, "x w r", "y", "n", hidden_size=hidden)], texts, ["y"])
    count = 0
    for _ in range(n_steps * batch * directions * gates * hidden):
        count += n_inputs + hidden
    assert macs_of(ir.from_proto(proto).graph[0], shapes) == count


def test_an_einsum_with_an_ellipsis_broadcasts():
    proto = model([node("Einsum", "x w", "y", "n", equation="...ij,...jk")], ["x[2,1,5,3]", "w[7,3,4]"], ["y"])
    shapes = {"x": (2, 1, 5, 3), "w": (7, 3, 4), "y": (2, 7, 5, 4)}
    assert macs_of(ir.from_proto(proto).graph[0], shapes) == 2 * 7 * 5 * 3 * 4


def test_other_operators_have_no_products():
    proto = model([node("Softmax", "x", "y", "n"), node("Einsum", "x", "z", "e", equation="ij->ji")], ["x[2,3]"], ["y"])
    graph = ir.from_proto(proto).graph
    assert [macs_of(item, {"x": (2, 3), "y": (2, 3), "z": (3, 2)}) for item in graph] == [0, 0]


def _inside(op_type, body, data):
    """A node with ``body`` as its subgraph (both branches of an If), and shapes traced with two samples."""
    bodies = {"then_branch": body, "else_branch": body} if op_type == "If" else {"body": body}
    reads = {"If": "c", "Loop": "n go x"}[op_type]
    proto = model(
        [node(op_type, reads, "y", "n", **bodies)],
        [f"x[{','.join(map(str, data))}]", "c:bool[]"],
        ["y"],
        {"n": np.array(5), "go": np.array(True)},
    )
    (outer,) = [one for one in ir.from_proto(proto).graph if one.name == "n"]
    return macs_in_bodies(outer, {"x": data}, data[0])


def test_the_work_of_an_if_is_that_of_its_heavier_branch_per_sample():
    body = graph([node("MatMul", "x w", "b", "m")], [], ["b[2,4]"], {"w": np.ones((3, 4))})
    assert _inside("If", body, (2, 3)) == 3 * 4


def test_a_loop_of_constant_length_counts_every_step():
    inputs = ["i:int64[]", "go_in:bool[]", "s[2,3]"]
    nodes = [node("MatMul", "s w", "t", "m"), node("Identity", "go_in", "go_out", "i")]
    body = graph(nodes, inputs, ["go_out:bool[]", "t[2,3]"], {"w": np.ones((3, 3))})
    assert _inside("Loop", body, (2, 3)) == 5 * 3 * 3


def test_a_size_that_is_not_known_inside_counts_the_largest_constant_once():
    body = graph([node("MatMul", "inner w", "b", "m")], ["inner"], ["b"], {"w": np.ones((3, 4))})
    assert _inside("If", body, (2, 3)) == 3 * 4
