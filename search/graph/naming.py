"""Names of nodes: the user's own, everywhere.

A node is called by its name, else by its first output. Where two would be called the same, the later one gets ``#2``,
``#3``. Nodes that a conversion adds are called ``<node they were added for>/<operator>``.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import onnx


def unique_name(wanted: str, taken: Container[str]) -> str:
    """Return ``wanted``, or ``wanted#2``, ``#3``, ... if it is taken."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}#{count}"
    return name


def user_names(nodes: Sequence[onnx.NodeProto]) -> tuple[str, ...]:
    """Return the name of every node, all different, in the order given.

    1. Given names come first: an unnamed node never takes the name of a later one.
    2. Of several nodes of one name the first keeps it.
    """
    names: list[str | None] = [None] * len(nodes)
    taken: set[str] = set()
    for index, node in enumerate(nodes):
        if node.name and node.name not in taken:
            names[index] = node.name
            taken.add(node.name)
    for index, node in enumerate(nodes):
        if names[index] is None:
            wanted = node.name or next((name for name in node.output if name), node.op_type)
            names[index] = unique_name(wanted, taken)
            taken.add(names[index] or "")
    return tuple(name or "" for name in names)


def number_repeated_names(nodes: Sequence[onnx.NodeProto]) -> None:
    """Give nodes whose name an earlier one has their name of ``user_names``; unnamed nodes stay unnamed."""
    for node, name in zip(nodes, user_names(nodes), strict=True):
        if node.name:
            node.name = name


def name_nodes(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Write ``user_names`` into ``graph``. Nodes of subgraphs stay as they are."""
    names = user_names(graph.node)
    for node, name in zip(graph.node, names, strict=True):
        node.name = name
    return names


def name_converted(graph: onnx.GraphProto, writers: dict[str, str]) -> None:
    """Name the nodes that a conversion added or replaced.

    1. A new node that writes what user's node ``u`` wrote is ``u``, unless ``u`` is still there.
    2. Any other new node belongs to the ``u`` whose output it writes, else to that of its first reader:
       ``u/<operator>``.

    Args:
        graph: Converted graph, changed in place.
        writers: Value name -> name of the node that wrote it before the conversion.
    """
    taken = {node.name for node in graph.node if node.name}
    owner_of_value: dict[str, str] = {}
    for node in reversed(graph.node):
        written = next((writers[name] for name in node.output if name in writers), None)
        owner = written or next((owner_of_value[n] for n in node.output if n in owner_of_value), node.op_type)
        if not node.name:
            free = written is not None and written not in taken
            node.name = owner if free else unique_name(f"{owner}/{node.op_type}", taken)
            taken.add(node.name)
        for name in node.input:
            owner_of_value.setdefault(name, writers.get(name, owner))
