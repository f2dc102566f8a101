from __future__ import annotations

import pytest

from search.export.torch_scope import map_scopes, scope_of


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("/head/layers.0/Conv", "head.layers.0"),
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/features/features.0/features.0.0/Conv", "features.0.0"),
        ("/blocks/blocks.3/layers/layers.1/act/Relu", "blocks.3.layers.1.act"),
        ("/conv/Conv_1", "conv"),
        ("/Add", None),
        ("Conv_12", None),
        ("", None),
        ("/a b/Conv", None),
        ('/x"]; import os/Conv', None),
        ("/x\n/Conv", None),
        ("//Conv", None),
    ],
)
def test_a_module_path_is_read_from_the_name(node, module):
    assert scope_of(node) == module


def test_an_operator_in_the_forward_of_a_container_has_no_module():
    found = map_scopes({0: ["/head/conv/Conv"], 1: ["/head/Add"]})
    assert found.modules == {"/head/conv/Conv": "head.conv"}


def test_a_container_is_never_named_even_if_one_group_fills_it():
    found = map_scopes({0: ["/block/conv/Conv", "/block/Add"]})
    assert found.modules == {"/block/conv/Conv": "block.conv"}


def test_several_nodes_of_one_group_are_one_module():
    nodes = ["/norm/ReduceMean", "/norm/Sub", "/norm/Div"]
    found = map_scopes({0: nodes, 1: ["/fc/Gemm"]})
    assert found.modules == {**dict.fromkeys(nodes, "norm"), "/fc/Gemm": "fc"}
    assert not found.shared


def test_a_module_that_is_called_twice_is_reported_and_not_mapped():
    found = map_scopes({0: ["/act/Relu"], 1: ["/act/Relu_1"], 2: ["/fc/Gemm"]})
    assert found.modules == {"/fc/Gemm": "fc"}
    assert found.shared == {"act"}


def test_a_node_outside_every_group_takes_a_scope_too():
    found = map_scopes({0: ["/pre/Conv"]}, ["/pre/Conv", "/pre/TopK"])
    assert found.modules == {}
