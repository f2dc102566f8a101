"""One spelling for what exporters and the runtime write in several ways; what the model computes stays the same.

The runtime takes all of these, the tools of the onnx package take only the first of each pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import onnx

from search.graph.walk import bodies, subgraphs

RUNTIME_ONLY = "bitbudget.runtime_only"
"""Domain under which operators hide from the tools that a file names before its opset knows them."""
_HELD_BACK = frozenset({"LayerNormalization", "SimplifiedLayerNormalization"})
_NO_OPERATORS = 21  # of a model without standard operators: any version serves


def normalise_spelling(model: onnx.ModelProto) -> None:
    """Rewrite ``model`` in place.

    1. Domain ``ai.onnx`` is the empty one, in nodes and imports; an import that is written twice is one.
    2. Imports that are missing are added: the default operator set where no node needs a version of it, com.microsoft
       at 1, as the runtime does.
    3. Nodes stand behind what they read. A circle is left for the checker to name.
    """
    for body in bodies(model):
        for node in body.graph.node:
            if node.domain == "ai.onnx":
                node.domain = ""
        _sort(body.graph)
    for imports in (model.opset_import, *(function.opset_import for function in model.functions)):
        _merge_imports(imports)
    _add_imports(model)


def _merge_imports(imports: Any) -> None:  # a repeated protobuf field
    kept = dict.fromkeys(("" if one.domain == "ai.onnx" else one.domain, one.version) for one in imports)
    _replace_imports(imports, kept)


def _replace_imports(imports: Any, kept: Iterable[tuple[str, int]]) -> None:
    copies = [onnx.helper.make_opsetid(domain, version) for domain, version in kept]
    del imports[:]
    imports.extend(copies)


def _add_imports(model: onnx.ModelProto) -> None:
    known = {one.domain for one in model.opset_import}
    used = {node.domain for body in bodies(model) for node in body.graph.node}
    if "" not in known | used:
        model.opset_import.append(onnx.helper.make_opsetid("", _NO_OPERATORS))
    if "com.microsoft" in used - known:
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


def _sort(graph: onnx.GraphProto | onnx.FunctionProto) -> None:
    """Put nodes behind their writers; a graph that is sorted stays as it is."""
    writers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    needs = [
        sorted({writers[name] for name in _reads(node) if name in writers} - {i}) for i, node in enumerate(graph.node)
    ]
    if all(before < i for i, befores in enumerate(needs) for before in befores):
        return
    try:
        order = tuple(TopologicalSorter(dict(enumerate(needs))).static_order())
    except CycleError:
        return
    nodes = [graph.node[i] for i in order]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names a node reads, also from inside its subgraphs."""
    yield from node.input
    for _, graph in subgraphs(node):
        for inner in graph.node:
            yield from _reads(inner)
        yield from (value.name for value in graph.output)


def is_known_to_runtime(node: onnx.NodeProto) -> bool:
    """Whether the runtime has this operator of the default domain at every opset, with one meaning."""
    return node.domain == "" and node.op_type in _HELD_BACK


def hide_runtime_operators(model: onnx.ModelProto, opset: int) -> None:
    """Move operators that ``opset`` does not know into ``RUNTIME_ONLY``, where checker and converter pass them over."""
    hidden = False
    for body in bodies(model):
        for node in body.graph.node:
            if is_known_to_runtime(node) and not onnx.defs.has(node.op_type, max_inclusive_version=opset):
                node.domain, hidden = RUNTIME_ONLY, True
    if hidden:
        model.opset_import.append(onnx.helper.make_opsetid(RUNTIME_ONLY, 1))


def show_runtime_operators(model: onnx.ModelProto) -> None:
    """Undo ``hide_runtime_operators``."""
    for body in bodies(model):
        for node in body.graph.node:
            if node.domain == RUNTIME_ONLY:
                node.domain = ""
    kept = [one for one in model.opset_import if one.domain != RUNTIME_ONLY]
    if len(kept) < len(model.opset_import):
        _replace_imports(model.opset_import, [(one.domain, one.version) for one in kept])
