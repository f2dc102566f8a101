"""Hostile models, M1 to M20 of the cases the service promises to answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.builders import graph, model, node
from tests.study.small import conv_net
from tests.workers.hostile import ANY, DIED, LIMIT, USER, Attack


def models() -> Iterator[Attack]:
    """Every hostile model."""
    for name, words, codes, proto in (
        ("M1 functions that double", "expanded", USER, _bomb(30)),
        ("M2 a loop for ever", "", LIMIT, _endless()),
        ("M4 sizes that overflow", "declare", USER, _dims([2**62, 4])),
        ("M4 sizes whose product overflows", "declare", USER, _dims([2**32, 2**32])),
        ("M4 a negative size", "negative", USER, _dims([-12, 10])),
        ("M5 fewer bytes than declared", "holds 480", USER, _dims([1000])),
        ("M5 more bytes than declared", "holds 480", USER, _dims([2, 10])),
        ("M10 an unknown domain", "evil", USER, _with(node("Hack", "x", "z", domain="evil"), domains={"evil": 1})),
        ("M10 an unknown operator", "Hack", USER, _with(node("Hack", "x", "z"))),
        ("M10 an unknown opset", "opset", USER, _opset(99)),
        ("M10 an operator beside the list", "CDist", USER, _with(_cdist(), domains={"com.microsoft": 1})),
        ("M12 deep nesting of If", "nests", USER, _nested(24)),
        ("M12 deep nesting of Scan", "nests", USER, _scans(24)),
        ("M13 functions in a circle", "circle", USER, _circle()),
        ("M13 a function that calls itself", "circle", USER, _own_caller()),
        ("M14 a name of 10 MB", "characters", USER, _named("n" * 10_000_000)),
        ("M14 control characters", "control", USER, _named("a\x1b[2Jb")),
        ("M14 a line of the log", "control", USER, _named("a\n2026-01-01 00:00:00,000 INFO forged: line")),
        ("M14 markup and formulas in every name", "", (), _marked()),
        ("M15 a graph with a circle", "sorted", USER, _cycle()),
        ("M15 a value written twice", "multiple times", USER, _twice()),
        ("M15 no size at all", "0 elements", USER, _empty_input()),
        ("M15 an input whose every size is open", "", (), _open_sizes()),
        ("M16 a crash while it is optimized", "SIGFPE", DIED, _crash()),
        ("M16 a crash while it runs", "SIGFPE", DIED, _crash_on_data()),
        ("M17 weights that are NaN", "NaN", USER, _weights(np.nan)),
        ("M17 weights that are infinite", "infinite", USER, _weights(np.inf)),
        ("M18 work that depends on the data", "", LIMIT, _data_loop()),
        ("M20 a compiled context", "EPContext", USER, _with(_context(), domains={"com.microsoft": 1})),
    ):
        yield Attack(name, codes, words, model=proto.SerializeToString())
    for op_type, proto in _huge():
        yield Attack(f"M3 a huge {op_type}", USER, op_type, model=proto.SerializeToString())
    yield Attack("M3 a size that depends on the data", ANY, model=_data_size().SerializeToString())
    for location in (
        "../w",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "~/w",
        "a\\..\\w",
        "C:w",
        "%2e%2e/w",
        "w\0",
    ):
        yield Attack(f"M6 M9 external data at {location!r}", USER, "external data", model=_external(location))
    for path in ("../w", "/etc/cron.d/w", "a\\..\\w", "C:w", "w\0", "~/w"):
        given = {path: b"\0" * 24}
        yield Attack(f"M6 sent as {path!r}", (), model=_external(path), external=given, refused="invalid-request")
    yield Attack("M7 a link beside it", USER, "external data", model=_external("../1-data.calibration/calibration.npz"))
    yield Attack(
        "M7 another input beside it", USER, "external data", model=_external("../2-data.evaluation/evaluation.npz")
    )
    yield Attack("M8 behind the end", USER, "bytes", model=_external("w", offset=2**40), external={"w": b"\0" * 24})
    yield Attack("M8 an offset of 2**63", USER, "bytes", model=_external("w", offset=2**63), external={"w": b"\0" * 24})
    yield Attack(
        "M8 a length of 2**62", USER, "declares", model=_external("w", length=2**62), external={"w": b"\0" * 24}
    )
    yield Attack("M8 ranges that overlap", USER, "declare", model=_overlapping(600), external={"w": bytes(4 * 2**20)})
    yield Attack("M19 a memory address", USER, "external data", model=_external("*/_ORT_MEM_ADDR_/*"))
    yield Attack("M11 too many nodes", USER, "200000", model=_many_nodes(200_001))
    yield Attack("M11 a hundred million nodes", USER, "200000", model=lambda: _many_nodes(100_000_000))
    yield Attack("M14 a name that is no text", USER, "UTF-8", model=_bad_utf8())
    yield Attack("not ONNX", USER, "not an ONNX model", model=b"MZ\x90" * 1000)
    yield Attack("truncated", USER, "truncated", model=conv_net().SerializeToString()[:-100])
    yield Attack("empty", USER, "empty", model=b"")


def _huge() -> Iterator[tuple[str, onnx.ModelProto]]:
    """Operators of which a few bytes make terabytes."""
    yield "ConstantOfShape", _with(node("ConstantOfShape", "s", "z"), s=[10**12])
    yield "Expand", _with(node("Expand", "x s", "z"), s=[10**9, 1, 8, 8])
    yield "Tile", _with(node("Tile", "x s", "z"), s=[10**9, 1, 100, 100])
    yield "Range", _with(node("Range", "a b c", "z"), a=0, b=10**12, c=1)
    yield "RandomNormal", _with(node("RandomNormal", "", "z", shape=[10**6, 10**6]))


def _data_size() -> onnx.ModelProto:
    """Its last output has 10**13 elements, which only its data tell."""
    proto = _with(node("ConstantOfShape", "size", "z"), huge=[10**13])
    before = [node("ReduceMax", "x", "m", keepdims=0), node("Sub", "m m", "nil"), node("Cast", "nil", "n", to=7)]
    for one in [*before, node("Add", "n huge", "size")]:
        proto.graph.node.insert(len(proto.graph.node) - 1, one)
    return proto


def _crash() -> onnx.ModelProto:
    """The most negative integer by -1: the runtime does it as the processor does, which raises SIGFPE."""
    proto = _with(node("Cast", "quotient", "z", to=TensorProto.FLOAT), least=[-(2**63)], minus=[-1])
    proto.graph.node.insert(0, node("Div", "least minus", "quotient"))
    return proto


def _crash_on_data() -> onnx.ModelProto:
    proto = _with(node("Cast", "quotient", "z", to=TensorProto.FLOAT), least=[-(2**63)], one=[1])
    before = [node("ReduceMax", "x", "m", keepdims=0), node("Sub", "m m", "nil"), node("Cast", "nil", "n", to=7)]
    for number, made in enumerate([*before, node("Sub", "n one", "minus"), node("Div", "least minus", "quotient")]):
        proto.graph.node.insert(number, made)
    return proto


MARKUP = "<script>alert(1)</script>"
FORMULA = "=cmd|' /C calc'!A0"


def _marked() -> onnx.ModelProto:
    """The small network with names that a browser or a spreadsheet would run."""
    proto = conv_net()
    for number, one in enumerate(proto.graph.node):
        one.name = f"{FORMULA if number % 2 else MARKUP}{number}"
        one.doc_string = MARKUP
        for names in (one.input, one.output):
            for place, name in enumerate(names):
                if name.startswith(("c1", "r1", "c2", "w1", "w2")):
                    names[place] = f"{MARKUP}{name}"
    for constant in proto.graph.initializer:
        if constant.name in ("w1", "w2"):
            constant.name = f"{MARKUP}{constant.name}"
    proto.producer_name = proto.graph.name = proto.doc_string = MARKUP
    proto.metadata_props.add(key=MARKUP, value=FORMULA)
    return proto


def _cdist() -> Any:
    return node("CDist", "x x", "z", domain="com.microsoft", metric="euclidean")


def _own_caller() -> onnx.ModelProto:
    return _calling("f", [_function("f", [node("f", "a", "b", domain="local")])])


def _empty_input() -> onnx.ModelProto:
    return model([node("Relu", "x", "y")], ["x[N,0,8,8]"], ["y[N,0,8,8]"])


def _open_sizes() -> onnx.ModelProto:
    proto = conv_net()
    for size in proto.graph.input[0].type.tensor_type.shape.dim[1:]:
        size.dim_param = "?"
    return proto


def _scans(depth: int) -> onnx.ModelProto:
    inner = graph([node("Relu", "v", "w")], ["v[1]"], ["w[1]"])
    for _ in range(depth):
        inner = graph([node("Scan", "v", "w", body=inner, num_scan_inputs=1)], ["v[1]"], ["w[1]"])
    return model([node("Scan", "x", "b", body=inner, num_scan_inputs=1)], ["x[N,1,8,8]"], ["b"])


def _overlapping(n: int) -> bytes:
    """``n`` constants that all are the same 4 MiB of one file."""
    proto = onnx.ModelProto.FromString(_external("w"))
    first = proto.graph.initializer[0]
    first.dims[:] = [2**20]
    for number in range(1, n):
        proto.graph.initializer.add().CopyFrom(first)
        proto.graph.initializer[-1].name = f"w{number}"
    return bytes(proto.SerializeToString())


def _with(extra: Any, domains: Mapping[str, int] | None = None, **constants: Any) -> onnx.ModelProto:
    """The small network with one more node that nothing reads."""
    proto = conv_net()
    proto.graph.node.append(extra)
    for name, value in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
    for domain, version in (domains or {}).items():
        proto.opset_import.append(helper.make_opsetid(domain, version))
    if extra.output[0] == "z":
        proto.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    return proto


def _function(name: str, body: list[Any]) -> Any:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["a"], ["b"], body, imports)


def _calling(name: str, functions: list[Any]) -> onnx.ModelProto:
    call = node(name, "x", "y", domain="local")
    return model([call], ["x[N,1,8,8]"], ["y[N,1,8,8]"], functions=functions, domains={"local": 1})


def _bomb(depth: int) -> onnx.ModelProto:
    functions = [_function("f0", [node("Relu", "a", "b")])]
    for i in range(1, depth + 1):
        calls = [node(f"f{i - 1}", "a", "t", domain="local"), node(f"f{i - 1}", "t", "b", domain="local")]
        functions.append(_function(f"f{i}", calls))
    return _calling(f"f{depth}", functions)


def _circle() -> onnx.ModelProto:
    return _calling(
        "f",
        [
            _function("f", [node("g", "a", "b", domain="local")]),
            _function("g", [node("f", "a", "b", domain="local")]),
        ],
    )


def _loop(trips: str, condition: str) -> Any:
    body = helper.make_graph(
        [node("Identity", "go", "more"), node("Identity", "v", "w")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    return node("Loop", f"{trips} {condition} logits0", "logits", "loop", body=body)


def _looping(trips: str, before: list[Any], constants: Mapping[str, Any]) -> onnx.ModelProto:
    proto = conv_net()
    head = next(one for one in proto.graph.node if one.name == "head")
    head.output[0] = "logits0"
    for one in [*before, _loop(trips, "go")]:
        proto.graph.node.append(one)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "go"))
    for name, value in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return proto


def _endless() -> onnx.ModelProto:
    return _looping("_", [], {})


def _data_loop() -> onnx.ModelProto:
    before = [
        node("ReduceMax", "x", "m", keepdims=0),
        node("Abs", "m", "a"),
        node("Mul", "a huge", "product"),
        node("Cast", "product", "trips", to=TensorProto.INT64),
    ]
    return _looping("trips", before, {"huge": np.array(1e15, np.float32)})


def _dims(dims: list[int]) -> onnx.ModelProto:
    proto = conv_net()
    weight = next(one for one in proto.graph.initializer if one.name == "w3")
    del weight.dims[:]
    weight.dims.extend(dims)
    return proto


def _opset(version: int) -> onnx.ModelProto:
    proto = conv_net()
    proto.opset_import[0].version = version
    return proto


def _nested(depth: int) -> onnx.ModelProto:
    inner = graph([node("Relu", "x", "b")], [], ["b"])
    for _ in range(depth):
        other = graph([node("Relu", "x", "b")], [], ["b"])
        inner = graph([node("If", "c", "b", then_branch=inner, else_branch=other)], [], ["b"])
    return model(list(inner.node), ["x[N,1,8,8]"], ["b"], {"c": np.array(True)})


def _named(name: str) -> onnx.ModelProto:
    proto = conv_net()
    proto.graph.node[0].name = name
    return proto


def _cycle() -> onnx.ModelProto:
    nodes = [node("Add", "x b", "a"), node("Relu", "a", "b")]
    return model(nodes, ["x[N,1,8,8]"], ["b[N,1,8,8]"])


def _twice() -> onnx.ModelProto:
    nodes = [node("Relu", "x", "y"), node("Neg", "x", "y")]
    return model(nodes, ["x[N,1,8,8]"], ["y[N,1,8,8]"])


def _weights(value: float) -> onnx.ModelProto:
    constants = {"w": np.array([value], np.float32)}
    return model([node("Mul", "x w", "y", "scale")], ["x[N,1,8,8]"], ["y[N,1,8,8]"], constants)


def _context() -> Any:
    return node("EPContext", "x", "z", domain="com.microsoft", embed_mode=0, ep_cache_context="../../etc/passwd")


def _external(location: str, **entries: int) -> bytes:
    proto = model([node("Add", "x w", "y", "add")], ["x[6]"], ["y[6]"], {"w": np.arange(6, dtype=np.float32)})
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(text))
    return bytes(proto.SerializeToString())


def _many_nodes(n: int) -> bytes:
    nodes = b"\x0a\x00" * n
    return b"\x3a" + _varint(len(nodes)) + nodes


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _bad_utf8() -> bytes:
    return conv_net().SerializeToString().replace(b"relu1", b"re\xff\xfe1")
