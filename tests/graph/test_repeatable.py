"""Models that draw random numbers are refused by the name of the node, those that only could are not."""

from __future__ import annotations

import numpy as np
import pytest

from search.errors import UnsupportedModelError
from tests.builders import graph, model, node
from tests.graph.graphs import normal_form

CONSTANTS = {"half": np.array(0.5), "none": np.array(0.0), "on": np.array(True), "off": np.array(False)}


def built(*nodes, inputs=("x[N,4]",)):
    reads = {name for one in nodes for name in one.input}
    used = {name: array for name, array in CONSTANTS.items() if name in reads}
    return model([node("Neg", "x", "a", "neg"), *nodes], list(inputs), ["y"], used, opset=18)


def test_dropout_in_training_mode_is_named():
    with pytest.raises(UnsupportedModelError, match=r"Dropout 'drop' is in training mode.*model\.eval\(\)"):
        normal_form(built(node("Dropout", "a half on", "y", "drop")))


@pytest.mark.parametrize("drop", ["a half off", "a none on", "a", "a half"])
def test_dropout_that_drops_nothing_is_not(drop):
    assert "neg" in {n.name for n in normal_form(built(node("Dropout", drop, "y", "drop"))).graph}


@pytest.mark.parametrize("op_type", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_random_operators_are_named(op_type):
    nodes = [node(op_type, "a", "r", "noise"), node("Add", "a r", "y", "add")]
    with pytest.raises(UnsupportedModelError, match=f"{op_type} 'noise' draws random numbers"):
        normal_form(built(*nodes))


def test_a_random_operator_inside_a_branch_is_found():
    draws = graph([node("RandomNormalLike", "a", "t", "noise")], [], ["t[N,4]"], name="then")
    same = graph([node("Identity", "a", "e", "same")], [], ["e[N,4]"], name="else")
    proto = built(node("If", "flag", "y", "if", then_branch=draws, else_branch=same), inputs=("x[N,4]", "flag:bool[]"))
    with pytest.raises(UnsupportedModelError, match="draws random numbers"):
        normal_form(proto)


def test_one_that_nobody_reads_is_left_out():
    assert len(normal_form(built(node("RandomNormalLike", "a", "r", "noise"), node("Abs", "a", "y", "abs"))).graph) == 2
