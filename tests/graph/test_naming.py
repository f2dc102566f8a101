from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.graph.naming import name_converted, number_repeated_names, user_names
from tests.builders import graph, node


def test_a_node_is_called_by_its_name_else_by_its_first_output():
    assert user_names([node("Relu", "x", "y", "first"), node("Split", "y", ["", "b"])]) == ("first", "b")


def test_the_second_of_one_name_gets_a_number():
    assert user_names([node("Relu", "x", "y", "a")] * 3) == ("a", "a#2", "a#3")


def test_an_unnamed_node_does_not_take_the_name_of_a_later_one():
    assert user_names([node("Relu", "x", "a"), node("Relu", "a", "y", "a")]) == ("a#2", "a")


@given(st.lists(st.tuples(st.sampled_from(["", "a", "a#2", "b"]), st.sampled_from(["a", "b", "c"]))))
def test_names_are_always_unique(pairs):
    names = user_names([node("Relu", "x", output, name) for name, output in pairs])
    assert len(set(names)) == len(pairs)
    assert "" not in names


def test_numbering_repeated_names_leaves_unnamed_nodes_unnamed():
    nodes = [node("Relu", "x", "a", "r"), node("Relu", "a", "b"), node("Relu", "b", "y", "r")]
    before = user_names(nodes)
    number_repeated_names(nodes)
    assert [n.name for n in nodes] == ["r", "", "r#2"]
    assert user_names(nodes) == before


def test_a_replacement_takes_the_name_and_helpers_are_named_after_it():
    converted = graph([node("Shape", "x", "s"), node("Flatten", "x", "f"), node("Reshape", "f s", "y")])
    name_converted(converted, {"y": "soft"})
    assert [n.name for n in converted.node] == ["soft/Shape", "soft/Flatten", "soft"]


def test_a_node_that_is_still_there_keeps_its_name():
    converted = graph([node("Softmax", "x", "i", "soft"), node("Reshape", "i s", "y")])
    name_converted(converted, {"y": "soft"})
    assert [n.name for n in converted.node] == ["soft", "soft/Reshape"]
