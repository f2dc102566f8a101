from __future__ import annotations

import numpy as np
import pytest

from search.graph.network import OpClass
from tests.builders import model, node
from tests.graph.graphs import RNG, see

SCALARS = {"two": 2.0, "eps": 1e-5, "half": 0.5, "minus_half": -0.5, "one": 1.0}


def reduce(op_type, read, out, opset, axes=(-1,), **attributes):
    """A Reduce operator with its axes where the opset wants them."""
    since = 13 if op_type == "ReduceSum" else 18
    if opset < since:
        return node(op_type, read, out, out, axes=list(axes), **attributes), {}
    name = f"{out}_axes"
    return node(op_type, [read, name], [out], out, **attributes), {name: np.array(axes)}


def layer_norm(
    opset=17, *, square="Pow", divide="Div", twice=False, axes=(-1,), var_axes=None, affine="Mul Add", **attrs
):
    mean, c1 = reduce("ReduceMean", "x", "mean", opset, axes, **attrs)
    var, c2 = reduce("ReduceMean", "sq", "var", opset, var_axes or axes, **attrs)
    nodes = [mean, node("Sub", "x mean", "d", "d")]
    spread = "d"
    if twice:
        nodes.append(node("Sub", "x mean", "d2", "d2"))
        spread = "d2"
    nodes.append(
        node("Pow", [spread, "two"], ["sq"], "sq") if square == "Pow" else node("Mul", [spread] * 2, ["sq"], "sq")
    )
    nodes += [var, node("Add", "var eps", "ve", "ve")]
    nodes += {
        "Div": [node("Sqrt", "ve", "sd", "sd"), node("Div", "d sd", "n", "n")],
        "Power": [node("Pow", "ve half", "sd", "sd"), node("Div", "d sd", "n", "n")],
        "Reciprocal": [
            node("Sqrt", "ve", "sd", "sd"),
            node("Reciprocal", "sd", "r", "r"),
            node("Mul", "d r", "n", "n"),
        ],
        "One": [node("Sqrt", "ve", "sd", "sd"), node("Div", "one sd", "r", "r"), node("Mul", "r d", "n", "n")],
        "NegativePower": [node("Pow", "ve minus_half", "r", "r"), node("Mul", "d r", "n", "n")],
    }[divide]
    last = "n"
    for op_type, constant in (("Mul", "gamma"), ("Add", "beta")):
        if op_type in affine:
            nodes.append(node(op_type, [last, constant], [constant + "_out"], op_type))
            last = constant + "_out"
    nodes[-1].output[0] = "y"
    return nodes, {**c1, **c2}


def seen_norm(nodes, constants, opset=17, shape="x[N,5,16]", outputs=("y",), gamma=(16,)):
    constants = {
        **constants,
        **{name: np.float32(number) for name, number in SCALARS.items()},
        "gamma": RNG.normal(size=gamma),
        "beta": RNG.normal(size=gamma),
    }
    used = {name for n in nodes for name in n.input}
    return see(model(nodes, [shape], list(outputs), {k: v for k, v in constants.items() if k in used}, opset=opset))


FORMS = [
    {},
    {"square": "Mul"},
    {"twice": True},
    {"divide": "Power"},
    {"divide": "Reciprocal"},
    {"divide": "One"},
    {"divide": "NegativePower"},
    {"axes": (2,)},
    {"axes": (1, 2)},
]


@pytest.mark.parametrize("opset", [11, 13, 17, 18])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_way_to_write_a_layer_normalization_is_one_group(form, opset):
    nodes, constants = layer_norm(opset, **form)
    seen = seen_norm(nodes, constants, opset)
    (group,) = seen.network.groups
    assert (group.op_type, group.op_class) == ("LayerNormalization", OpClass.NORM)
    assert len(group.nodes) == len(nodes)
    assert group.elements == 5 * 16, "as much work as the native operator"
    assert seen.constants(group.name) == [("gamma", "operand", None), ("beta", "operand", None)]
    assert {name for name, _ in seen.reads(group.name)} == {"x"}


@pytest.mark.parametrize(("affine", "n"), [("", 0), ("Mul", 1), ("Add", 1)])
def test_gamma_and_beta_may_be_missing(affine, n):
    seen = seen_norm(*layer_norm(affine=affine))
    (group,) = seen.network.groups
    assert len(seen.constants(group.name)) == n


def test_a_norm_over_channels_takes_constants_of_that_shape():
    seen = seen_norm(*layer_norm(axes=(1,)), shape="x[N,16,4,4]", gamma=(16, 1, 1))
    assert [group.op_type for group in seen.network.groups] == ["LayerNormalization"]


def test_constants_along_other_axes_stay_outside():
    seen = seen_norm(*layer_norm(), shape="x[N,5,16]", gamma=(5, 16))
    assert [group.op_type for group in seen.network.groups] == ["LayerNormalization", "Mul", "Add"]


@pytest.mark.parametrize(
    "change",
    [
        {"axes": (-1,), "var_axes": (1, 2)},
        {"axes": (0,)},
        {"axes": (0, 2)},
    ],
    ids=str,
)
def test_means_over_other_axes_or_over_samples_are_no_layer_normalization(change):
    seen = seen_norm(*layer_norm(**change))
    assert "LayerNormalization" not in {group.op_type for group in seen.network.groups}


def test_near_misses_stay_in_parts():
    nodes, constants = layer_norm()
    cube = [node("Pow", "d one", "sq", "sq") if n.name == "sq" else n for n in nodes]
    assert len(seen_norm(cube, constants).network.groups) == len(nodes)
    no_centre = [node("Div", "x sd", "n", "n") if n.name == "n" else n for n in nodes]  # x instead of x - mean
    assert len(seen_norm(no_centre, constants).network.groups) == len(nodes)
    seen = seen_norm(nodes, constants, outputs=("y", "sd"))  # the deviation is a model output
    assert len(seen.network.groups) == len(nodes)


def softmax(opset=17, *, shifted=True, sum_axis=-1, max_axis=-1, divide="Div", second=False):
    peak, c1 = reduce("ReduceMax", "x", "peak", opset, (max_axis,))
    total, c2 = reduce("ReduceSum", "e", "total", opset, (sum_axis,))
    nodes = (
        [peak, node("Sub", "x peak", "z", "z"), node("Exp", "z", "e", "e")] if shifted else [node("Exp", "x", "e", "e")]
    )
    nodes.append(total)
    if second:
        nodes.append(node("Exp", "z", "e2", "e2"))
    top = "e2" if second else "e"
    if divide == "Div":
        nodes.append(node("Div", [top, "total"], ["y"], "y"))
    else:
        nodes += [node("Reciprocal", "total", "r", "r"), node("Mul", [top, "r"], ["y"], "y")]
    used = {name for n in nodes for name in n.input}
    constants = {k: v for k, v in {**c1, **c2}.items() if k in used}
    return see(model(nodes, ["x[N,5,16]"], ["y"], constants, opset=opset)), len(nodes)


@pytest.mark.parametrize("opset", [11, 13, 17, 18])
@pytest.mark.parametrize(
    "form", [{}, {"shifted": False}, {"divide": "Reciprocal"}, {"sum_axis": 1, "max_axis": 1}], ids=str
)
def test_every_way_to_write_a_softmax_is_one_group(form, opset):
    seen, n = softmax(opset, **form)
    (group,) = seen.network.groups
    assert (group.op_type, group.op_class, len(group.nodes)) == ("Softmax", OpClass.NORM, n)
    assert {name for name, _ in seen.reads(group.name)} == {"x"}


@pytest.mark.parametrize("form", [{"sum_axis": 1}, {"second": True}, {"sum_axis": 0, "max_axis": 0}], ids=str)
def test_what_is_nearly_a_softmax_stays_in_parts(form):
    seen, n = softmax(**form)
    assert len(seen.network.groups) == n
