"""An Einsum written as a MatMul computes what it computed, and is one wherever it can be."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.graph.passes.einsum import write_einsums_as_products
from tests.builders import assert_same_outputs, model, node

RNG = np.random.default_rng(5)


def written(before, tolerance=2e-5):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    write_einsums_as_products(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=tolerance)
    return [(n.op_type, n.name) for n in after.graph]


def einsum(equation, *shapes, weight=None):
    constants = {} if weight is None else {"w": RNG.normal(size=weight).astype(np.float32)}
    names = "abc"[: len(shapes)]
    inputs = [f"{name}[{','.join(map(str, shape))}]" for name, shape in zip(names, shapes, strict=True)]
    reads = " ".join([*names, *constants])
    return model([node("Einsum", reads, "y", "e", equation=equation)], inputs, ["y"], constants, opset=18)


PRODUCTS = {
    "attention scores": einsum("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    "attention values": einsum("bhqk,bhkd->bqhd", (2, 3, 4, 6), (2, 3, 6, 5)),
    "scores of heads behind": einsum("bqhd,bkhd->bhqk", (2, 4, 3, 5), (2, 6, 3, 5)),
    "open batch": einsum("nij,njk->nik", ("N", 4, 5), ("N", 5, 3)),
    "a convolution of one pixel": einsum("nchw,kc->nkhw", ("N", 5, 4, 3), weight=(6, 5)),
    "constant on the right": einsum("bid,de->bie", ("N", 4, 5), weight=(5, 6)),
    "heads split by the weight": einsum("bid,dhe->bihe", ("N", 4, 6), weight=(6, 2, 3)),
    "heads joined by the weight": einsum("bihe,hed->bid", ("N", 4, 2, 3), weight=(2, 3, 6)),
    "no arrow": einsum("ij,jk", (4, 5), (5, 3)),
    "an ellipsis on the left": einsum("...ij,jk->...ik", (2, 3, 4, 5), weight=(5, 6)),
    "an ellipsis on both sides": einsum("...ij,...jk->...ik", (2, 3, 4, 5), (2, 3, 5, 6)),
    "dot products": einsum("bi,bi->b", ("N", 4), ("N", 4)),
    "two summed": einsum("bij,kij->bk", (2, 3, 4), (5, 3, 4)),
    "relative positions": einsum("bhwc,hkc->bhwk", (2, 3, 4, 5), weight=(3, 6, 5)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_one_matmul_of_the_einsums_name(name):
    nodes = written(PRODUCTS[name])
    assert ("MatMul", "e") in nodes
    assert {op_type for op_type, _ in nodes} <= {"MatMul", "Transpose", "Reshape"}
    assert sum(op_type == "MatMul" for op_type, _ in nodes) == 1


def test_what_is_a_matmul_already_needs_nothing_beside_it():
    assert written(einsum("bij,bjk->bik", (2, 4, 5), (2, 5, 3))) == [("MatMul", "e")]


def test_constants_are_turned_when_the_model_is_read():
    assert written(einsum("bi,oi->bo", ("N", 5), weight=(6, 5))) == [("MatMul", "e")]


OTHERS = {
    "outer product": (einsum("i,j->ij", (4,), (5,)), "Mul"),
    "scaling of channels": (einsum("bchw,bc->bchw", (2, 3, 4, 5), (2, 3)), "Mul"),
    "transpose": (einsum("ij->ji", (4, 5)), "Transpose"),
    "sum": (einsum("bij->bi", (2, 4, 5)), "ReduceSum"),
    "sum and transpose": (einsum("bij->jb", (2, 4, 5)), "Transpose"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_product_is_written_as_what_it_is(name):
    proto, op_type = OTHERS[name]
    nodes = written(proto)
    assert (op_type, "e") in nodes
    assert "Einsum" not in {one for one, _ in nodes}


KEPT = {
    "three operands": einsum("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    "an index twice": einsum("bii->bi", (2, 4, 4)),
    "an index that one side sums": einsum("bik,bj->bij", (2, 3, 4), (2, 5)),
    "two open sizes to put together": einsum("bhwc,bc->bhw", (2, "H", "W", 4), (2, 4)),
}


@pytest.mark.parametrize("name", KEPT)
def test_everything_else_is_left_alone(name):
    assert written(KEPT[name]) == [("Einsum", "e")]


@st.composite
def equations(draw):
    """Equations of two operands with sizes 1 to 3 for up to five indices."""
    sizes = {letter: draw(st.integers(1, 3)) for letter in "abcde"}
    left = draw(st.permutations("abcde"))[: draw(st.integers(1, 4))]
    right = draw(st.permutations("abcde"))[: draw(st.integers(1, 4))]
    both = sorted({*left, *right})
    result = [letter for letter in draw(st.permutations(both)) if draw(st.booleans())]
    shapes = [tuple(sizes[letter] for letter in term) for term in (left, right)]
    return f"{''.join(left)},{''.join(right)}->{''.join(result)}", shapes


@settings(max_examples=150, deadline=None)
@given(equations())
def test_any_equation_computes_what_it_computed(drawn):
    equation, shapes = drawn
    written(einsum(equation, *shapes))
