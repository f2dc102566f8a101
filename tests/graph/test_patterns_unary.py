from __future__ import annotations

from math import erf

import numpy as np
import onnx
import pytest

from search.graph.network import OpClass
from tests.builders import model, node, run
from tests.graph.graphs import see

C = {
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "six": 6.0,
    "sixth": 1 / 6,
    "zero": 0.0,
    "root2": np.sqrt(2),
    "half_root2": np.sqrt(0.5),
    "c": 0.044715,
    "k": np.sqrt(2 / np.pi),
    "hk": 0.5 * np.sqrt(2 / np.pi),
    "ten": 10.0,
    "quick": 1.702,
    "minus": -1.0,
}

FORMS = {
    "Gelu, torch": ("Gelu", ["Div x root2 a", "Erf a b", "Add b one c1", "Mul x c1 d", "Mul d half y"]),
    "Gelu, half first": ("Gelu", ["Mul x half h", "Mul x half_root2 a", "Erf a b", "Add one b d", "Mul h d y"]),
    "Gelu, half inside": ("Gelu", ["Div x root2 a", "Erf a b", "Add b one e", "Mul e half d", "Mul d x y"]),
    "Gelu, tanh": (
        "Gelu",
        [
            "Pow x three p",
            "Mul p c q",
            "Add x q r",
            "Mul r k s",
            "Tanh s t",
            "Add t one u",
            "Mul x u v",
            "Mul v half y",
        ],
    ),
    "Gelu, tanh of products": (
        "Gelu",
        [
            *("Mul x x x2", "Mul x2 x x3", "Mul c x3 q", "Add q x r", "Mul k r s", "Tanh s t"),
            *("Add one t u", "Mul half x h", "Mul h u y"),
        ],
    ),
    "Silu, torch": ("Silu", ["Sigmoid x s", "Mul x s y"]),
    "Silu, exponential": ("Silu", ["Neg x n", "Exp n e", "Add e one d", "Div x d y"]),
    "Silu, reciprocal": ("Silu", ["Mul x minus n", "Exp n e", "Add one e d", "Reciprocal d r", "Mul r x y"]),
    "HardSwish, torch": ("HardSwish", ["Add x three a", "Clip a,zero,six b", "Mul x b d", "Div d six y"]),
    "HardSwish, gate": ("HardSwish", ["Add x three a", "Clip a,zero,six b", "Div b six g", "Mul g x y"]),
    "HardSwish, sixth": ("HardSwish", ["Add three x a", "Clip a,zero,six b", "Mul b sixth g", "Mul x g y"]),
    "HardSwish, minimum": ("HardSwish", ["Add x three a", "Relu a r", "Min r six b", "Mul x b d", "Div d six y"]),
    "HardSwish, Paddle": ("HardSwish", ["Add x three a", "Max a zero r", "Min r six b", "Mul x b d", "Div d six y"]),
    "HardSwish, bounds first": (
        "HardSwish",
        ["Add x three a", "Min six a r", "Max zero r b", "Mul b sixth g", "Mul g x y"],
    ),
    "Gelu, JAX": (
        "Gelu",
        ["Neg x n", "Mul n half_root2 a", "Erf a b", "Sub one b e", "Mul x half h", "Mul h e y"],
    ),
    "Gelu, TensorFlow": (
        "Gelu",
        [
            *("Pow x three p", "Mul c p q", "Add x q r", "Mul k r s", "Tanh s t"),
            *("Add one t u", "Mul half u v", "Mul x v y"),
        ],
    ),
    "HardSwish, one bound": (
        "HardSwish",
        ["Add x three a", "Clip a,zero b", "Clip b,,six e", "Mul x e d", "Mul d sixth y"],
    ),
    "HardSwish, HardSigmoid": ("HardSwish", ["HardSigmoid x g", "Mul x g y"]),
    "Mish": ("Mish", ["Softplus x s", "Tanh s t", "Mul x t y"]),
}

NEAR = {
    "QuickGelu": ["Mul x quick q", "Sigmoid q s", "Mul x s y"],
    "Gelu without the half": ["Div x root2 a", "Erf a b", "Add b one e", "Mul x e y"],
    "Gelu with another scale": ["Div x two a", "Erf a b", "Add b one e", "Mul x e d", "Mul d half y"],
    "HardSwish to ten": ["Add x three a", "Clip a,zero,ten b", "Mul x b d", "Div d six y"],
    "HardSigmoid of another slope": ["Sigmoid x s", "Mul s s y"],
    "Silu that stops at ten": ["Min x ten m", "Sigmoid x s", "Mul m s y"],
    "two different inputs": ["Sigmoid x s", "Mul z s y"],
}


def build(lines, opset, *, outputs=("y",)):
    nodes = []
    for line in lines:
        op_type, *reads, out = line.split() if "," not in line else _clip(line)
        attributes = {"alpha": 1 / 6, "beta": 0.5} if op_type == "HardSigmoid" else {}
        nodes.append(node(op_type, list(reads), [out], f"{op_type}_{out}", **attributes))
    used = {name for n in nodes for name in n.input}
    constants = {name: np.float32(number) for name, number in C.items() if name in used}
    inputs = ["x[N,64]"] + (["z[N,64]"] if "z" in used else [])
    return model(nodes, inputs, list(outputs), constants, opset=opset)


def _clip(line):
    op_type, reads, out = line.split(" ")
    return [op_type, *reads.split(","), out]


def torch_like(name, x):
    gate = {
        "Gelu": lambda v: 0.5 * (1 + erf(v / 2**0.5)),
        "Silu": lambda v: 1 / (1 + np.exp(-v)),
        "HardSwish": lambda v: min(max(v + 3, 0), 6) / 6,
        "Mish": lambda v: np.tanh(np.log1p(np.exp(v))),
    }[name]
    return np.array([v * gate(v) for v in x])


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("form", FORMS)
def test_every_way_to_write_a_function_is_one_group(form, opset):
    name, lines = FORMS[form]
    proto = build(lines, opset)
    x = np.linspace(-6, 6, 64)
    np.testing.assert_allclose(
        run(proto, {"x": x[None].astype(np.float32)})["y"][0], torch_like(name, x), atol=1e-3
    )  # the form is what it claims to be
    seen = see(proto)
    (group,) = seen.network.groups
    bounds = sum(line.split()[0] in ("Relu", "Clip", "Min", "Max") for line in lines)
    n_nodes = len(lines) - max(0, bounds - 1)  # bounds behind bounds are one Clip
    assert (group.op_type, group.op_class, len(group.nodes)) == (name, OpClass.LUT, n_nodes)
    assert {slot.tensor for slot in group.inputs} == {seen.structure.tensor_of["x"]}
    assert (group.elements, seen.tensor("y").writer) == (64, 0)
    assert len(seen.network.tensors) == 2


@pytest.mark.parametrize("near", NEAR)
def test_what_is_nearly_such_a_function_stays_in_parts(near):
    seen = see(build(NEAR[near], 17))
    assert [len(group.nodes) for group in seen.network.groups] == [1] * len(NEAR[near])


@pytest.mark.parametrize("inner", ["b", "c1", "d"])
def test_a_function_whose_inside_is_seen_from_outside_stays_in_parts(inner):
    seen = see(build(FORMS["Gelu, torch"][1], 17, outputs=("y", inner)))
    assert "Gelu" not in {group.op_type for group in seen.network.groups}


def test_the_function_starts_behind_what_comes_before_it():
    lines = ["Add x z i", "Sigmoid i s", "Mul i s j", "Sigmoid j t", "Mul j t y"]
    assert [group.op_type for group in see(build(lines, 17)).network.groups] == ["Add", "Silu", "Silu"]


def test_a_constant_with_several_values_is_no_part_of_a_function():
    proto = build(["Sigmoid x s", "Mul x s m", "Mul m v y"], 17)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(64, np.float32), "v"))
    assert [group.op_type for group in see(proto).network.groups] == ["Silu", "Mul"]
