"""What a model may hold, checked on the parsed protobuf before anything expensive or foreign sees it.

Checker, shape inference, inlining and runtime take unbounded time on a few hostile bytes (functions that call each
other thirty times double 2**30 nodes), so names, operators, functions, nesting and declared sizes are checked first,
in linear time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import onnx
from onnx import TensorProto, numpy_helper

from search.arrays import Array
from search.errors import InvalidModelError, UnsupportedModelError
from search.graph.growth import Constants, created_elements
from search.graph.notes import Note
from search.graph.operator_list import check_operator
from search.graph.tensors import declared_bytes
from search.graph.walk import Body, bodies, node_name, tensors

MIN_OPSET, MAX_OPSET = 7, 24
_LOOPS = frozenset({"If", "Loop", "Scan"})
_SMALL = 64  # elements of a constant that can be a shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds of one model.

    Attributes:
        model_bytes: File and external data together; protobuf and the runtime end at 2 GiB.
        n_nodes: Nodes after expanding local functions; 200,000 flat nodes take a runtime seconds to load.
        n_fields: Protobuf fields of the graph, counted before parsing.
        depth: Graphs inside each other, the main graph included.
        name_chars: Characters of one name.
        created_elements: Elements that one node may create from constants, or one model input declare.
        loop_trips: Constant trip count of a Loop.
    """

    model_bytes: int = 2**31 - 1
    n_nodes: int = 200_000
    n_fields: int = 8_000_000
    depth: int = 16
    name_chars: int = 4096
    created_elements: int = 2**28
    loop_trips: int = 1_000_000


def check_limits(model: onnx.ModelProto, limits: Limits) -> tuple[Note, ...]:
    """Check everything that needs no data of weights.

    Returns:
        Findings: subgraphs whose run time depends on the data.

    Raises:
        InvalidModelError: If a limit is exceeded or the model is inconsistent; says what, where and the limit.
        UnsupportedModelError: If it uses an opset, operator or type that cannot be evaluated here.
    """
    opset_of(model)
    functions = {(f.domain, f.name, f.overload) for f in model.functions}
    imports = {o.domain or "": o.version for o in model.opset_import}
    loops: list[onnx.NodeProto] = []
    for body in bodies(model):
        _check_body(body, limits)
        constants = _constants(body)
        for node in body.graph.node:
            _check_names(_node_names(node), limits)
            if (node.domain, node.op_type, node.overload) not in functions:
                check_operator(node, imports)
            _check_created(node, constants, limits)
            if node.op_type in _LOOPS:
                loops.append(node)
    _check_expanded_nodes(model, limits)
    _check_declared_bytes(model, limits)
    if not loops:
        return ()
    what = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(n.op_type for n in loops).items()))
    text = f"The model has {what}: their bodies stay float, and run time may depend on the data."
    return (Note("subgraphs", text, tuple(node_name(node) for node in loops)),)


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set.

    Raises:
        InvalidModelError: If the model names none, or two.
        UnsupportedModelError: If it is outside 7..24.
    """
    versions = {o.version for o in model.opset_import if o.domain in ("", "ai.onnx")}
    if len(versions) != 1:
        raise InvalidModelError(
            f"The model imports the default operator set at versions {sorted(versions)}; it must be exactly one."
        )
    version = int(versions.pop())
    if version < MIN_OPSET:
        raise UnsupportedModelError(
            f"The model uses opset {version}; {MIN_OPSET} to {MAX_OPSET} can be read. "
            "Export it again at opset 13 or later."
        )
    if version > MAX_OPSET:
        raise UnsupportedModelError(
            f"The model uses opset {version}; {MIN_OPSET} to {MAX_OPSET} can be read. "
            f"Export it at opset {MAX_OPSET} or lower."
        )
    return version


def _check_body(body: Body, limits: Limits) -> None:
    if body.depth > limits.depth:
        raise InvalidModelError(f"{body.where} lies {body.depth} graphs deep; the limit is {limits.depth}.")
    graph = body.graph
    if isinstance(graph, onnx.FunctionProto):
        _check_names((graph.name, graph.domain, *graph.input, *graph.output, *graph.attribute), limits)
        return
    values = (*graph.input, *graph.output, *graph.value_info)
    _check_names((graph.name, *(v.name for v in values), *(t.name for t in graph.initializer)), limits)
    _check_names((d.dim_param for v in values for d in v.type.tensor_type.shape.dim), limits)
    if graph.sparse_initializer:
        raise UnsupportedModelError(f"{body.where} has sparse initializers. Export the model with dense weights.")
    counts = Counter(t.name for t in graph.initializer)
    twice = next((name for name, count in counts.items() if count > 1 or not name), None)
    if twice is not None:
        raise InvalidModelError(
            f"{body.where} has two initializers, or one without a name: {twice!r}. Export it again."
        )


def _node_names(node: onnx.NodeProto) -> Iterator[str]:
    yield from (node.name, node.op_type, node.domain, node.overload)
    yield from node.input
    yield from node.output
    yield from (attribute.name for attribute in node.attribute)


def _check_names(names: Iterator[str] | tuple[str, ...], limits: Limits) -> None:
    for name in names:
        # protobuf hands out the bytes of a text that is not UTF-8
        if not isinstance(name, str):
            raise InvalidModelError(f"The name {bytes(name)[:40]!r} is not UTF-8 text. Export the model again.")
        if len(name) > limits.name_chars:
            raise InvalidModelError(
                f"The name {name[:40]!r}... has {len(name)} characters; the limit is {limits.name_chars}."
            )
        if not name.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in name):
            raise InvalidModelError(f"The name {name[:40]!r} holds control characters. Rename it and export again.")


def _constants(body: Body) -> Constants:
    """Look up small constants of one body by name."""
    found: dict[str, TensorProto] = {t.name: t for t in body.initializers}
    for node in body.graph.node:
        if node.op_type == "Constant" and node.output:
            value = next((a.t for a in node.attribute if a.name == "value" and a.HasField("t")), None)
            if value is not None:
                found[node.output[0]] = value

    def look_up(name: str) -> Array | None:
        tensor = found.get(name)
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return None
        n_bytes = declared_bytes(tensor, f"Initializer {name!r}")
        if n_bytes > 8 * _SMALL or len(tensor.raw_data) not in (0, n_bytes) or not n_bytes:
            return None
        try:
            return numpy_helper.to_array(tensor)
        except ValueError:
            return None  # fewer values than declared: reported with the tensor's data

    return look_up


def _check_created(node: onnx.NodeProto, constants: Constants, limits: Limits) -> None:
    elements = created_elements(node, constants)
    if elements > limits.created_elements:
        raise InvalidModelError(
            f"{node.op_type} {node_name(node)!r} would create {elements} elements; "
            f"the limit is {limits.created_elements}."
        )
    if node.op_type != "Loop":
        return
    has_trips, has_condition = (len(node.input) > i and bool(node.input[i]) for i in range(2))
    if not has_trips and not has_condition:
        raise InvalidModelError(f"Loop {node_name(node)!r} has no trip count and no condition, so it never ends.")
    trips = constants(node.input[0]) if has_trips else None
    if trips is not None and trips.size and int(trips.reshape(-1)[0]) > limits.loop_trips:
        raise InvalidModelError(
            f"Loop {node_name(node)!r} runs {int(trips.reshape(-1)[0])} times; the limit is {limits.loop_trips}."
        )


def _check_expanded_nodes(model: onnx.ModelProto, limits: Limits) -> None:
    """Count nodes as if every local function were inlined: one addition per call, however deep they nest."""
    if not model.functions:
        return  # flat nodes were counted on the bytes
    calls: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
    for f in model.functions:
        key = (f.domain, f.name, f.overload)
        if key in calls:
            raise InvalidModelError(f"Local function {f.domain}.{f.name} is defined twice. Export the model again.")
        calls[key] = list(_called(f))
    try:
        order = list(TopologicalSorter({k: [c for c in v if c in calls] for k, v in calls.items()}).static_order())
    except CycleError as error:
        names = " -> ".join(f"{domain}.{name}" for domain, name, _ in error.args[1])
        raise InvalidModelError(f"Local functions call each other in a circle: {names}.") from error
    expanded: dict[tuple[str, str, str], int] = {}
    for key in order:
        expanded[key] = sum(1 + expanded.get(c, 0) for c in calls[key])
    total = sum(1 + expanded.get(c, 0) for c in _called(model.graph))
    if total > limits.n_nodes:
        raise InvalidModelError(
            f"The model has more than {limits.n_nodes} nodes (the limit) once its local functions are expanded."
        )


def _called(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[tuple[str, str, str]]:
    """Yield domain, operator and overload of every node of a body and its subgraphs."""
    whole = onnx.ModelProto(graph=onnx.GraphProto(node=graph.node))
    for body in bodies(whole):
        for node in body.graph.node:
            yield node.domain, node.op_type, node.overload


def _check_declared_bytes(model: onnx.ModelProto, limits: Limits) -> None:
    total = 0
    for where, tensor in tensors(model):
        total += declared_bytes(tensor, where)
        if total > limits.model_bytes:
            raise InvalidModelError(
                f"The tensors of the model declare {total} bytes or more ({where} included); "
                f"the limit is {limits.model_bytes}."
            )
