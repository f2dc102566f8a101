"""Models and data sets made to break whoever opens them; each with the failure it must give."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.builders import graph, model, node
from tests.study.small import conv_net, pictures

USER = ("invalid-model", "unsupported-model", "invalid-data", "invalid-spec")
LIMIT = ("wall-limit", "cpu-limit", "memory-limit")


@dataclass(frozen=True)
class Attack:
    """One hostile input.

    Attributes:
        name: Number of the case, and what it is.
        codes: Failures that are right.
        words: Text its message must hold.
        model: Replaces the model.
        evaluation: Replaces the evaluation data.
        files: Files of a directory instead, by relative path.
        external: External data of the model by relative path.
        spec: Further keys of the job.
    """

    name: str
    codes: tuple[str, ...]
    words: str = ""
    model: bytes | None = None
    evaluation: bytes | None = None
    files: Mapping[str, bytes] | None = None
    external: Mapping[str, bytes] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


def attacks() -> Iterator[Attack]:
    """All of them."""
    yield from _models()
    yield from _data()


def _models() -> Iterator[Attack]:
    for name, words, codes, proto in (
        ("M1 functions that double", "expanded", USER, _bomb(30)),
        ("M2 a loop for ever", "", LIMIT, _endless()),
        ("M3 a huge constant", "1000000000000", USER, _with(node("ConstantOfShape", "s", "z"), s=[10**12])),
        ("M4 sizes that overflow", "", USER, _dims([2**62, 4])),
        ("M5 fewer bytes than declared", "", USER, _dims([1000])),
        ("M10 an unknown domain", "", USER, _with(node("Hack", "x", "z", domain="evil"), domains={"evil": 1})),
        ("M10 an unknown opset", "opset", USER, _opset(99)),
        ("M12 deep nesting", "nests", USER, _nested(24)),
        ("M13 functions in a circle", "circle", USER, _circle()),
        ("M14 a name of 10 MB", "characters", USER, _named("n" * 10_000_000)),
        ("M14 control characters", "control", USER, _named("a\x1b[2Jb")),
        ("M15 a graph with a circle", "", USER, _cycle()),
        ("M15 a value written twice", "", USER, _twice()),
        ("M17 weights that are NaN", "NaN", USER, _nan_weights()),
        ("M18 work that depends on the data", "", LIMIT, _data_loop()),
        ("M20 a compiled context", "EPContext", USER, _with(_context(), domains={"com.microsoft": 1})),
    ):
        yield Attack(name, codes, words, model=proto.SerializeToString())
    for location in ("../w", "/etc/passwd", "/dev/zero", "/proc/self/environ", "~/w", "a\\..\\w", "C:w", "%2e%2e/w"):
        yield Attack(f"M6 M9 external data at {location}", USER, "external data", model=_external(location))
    yield Attack("M7 a link beside it", USER, "external data", model=_external("../1-data.calibration/calibration.npz"))
    yield Attack("M8 behind the end", USER, "bytes", model=_external("w", offset=2**40), external={"w": b"\0" * 24})
    yield Attack("M8 an offset of 2**63", USER, "", model=_external("w", offset=2**63), external={"w": b"\0" * 24})
    yield Attack("M19 a memory address", USER, "external data", model=_external("*/_ORT_MEM_ADDR_/*"))
    yield Attack("M11 too many nodes", USER, "200000", model=_many_nodes(200_001))
    yield Attack("M14 a name that is no text", USER, "", model=_bad_utf8())
    yield Attack("not ONNX", USER, "not an ONNX model", model=b"MZ\x90" * 1000)
    yield Attack("truncated", USER, "", model=conv_net().SerializeToString()[:-100])
    yield Attack("empty", USER, "empty", model=b"")


def _data() -> Iterator[Attack]:
    x, labels = pictures(40, seed=3), np.zeros(40, np.int64)
    yield Attack("D1 a zip bomb", USER, "", evaluation=_npz(compressed=True, x=np.zeros((1_500_000, 1, 8, 8), "f4")))
    yield Attack("D2 a zip inside", USER, "", evaluation=_zip({"x.npy": _npy(x), "more.zip": _npz(y=x)}))
    yield Attack("D3 a path upwards", USER, "", files={"../x/0.npy": _npy(x[0])})
    yield Attack("D3 an absolute path", USER, "", files={"/etc/cron.d/0.npy": _npy(x[0])})
    yield Attack("D3 the same name twice", USER, "twice", evaluation=_zip_twice(_npy(x)))
    yield Attack("D4 a header that lies", USER, "", evaluation=_zip({"x.npy": _header((2**31, 1, 8, 8))}))
    yield Attack("D5 objects", USER, "unpickling", evaluation=_objects())
    yield Attack("D6 a wrong name", USER, "", evaluation=_npz(image=x, labels=labels))
    yield Attack("D6 a wrong shape", USER, "", evaluation=_npz(x=x[:, :, :4], labels=labels))
    yield Attack("D6 a wrong type", USER, "", evaluation=_npz(x=x.astype("f8") * 1e300, labels=labels))
    yield Attack("D7 no sample", USER, "", evaluation=_npz(x=x[:0], labels=labels[:0]))
    yield Attack("D7 labels out of range", USER, "", evaluation=_npz(x=x, labels=labels + 10))
    yield Attack("D7 labels that are NaN", USER, "", evaluation=_npz(x=x, labels=np.full(40, np.nan)))
    yield Attack("D7 samples that are NaN", USER, "", evaluation=_npz(x=x * np.nan, labels=labels))
    yield Attack(
        "D9 a picture that unpacks to gigabytes",
        USER,
        "",
        files={"0/0.png": _png(60_000), "1/1.png": _png(60_000)},
        spec={"data": {"preprocess": {"resize": 8, "crop": 8}}},
    )
    yield Attack("D10 truncated", USER, "", evaluation=_npz(x=x, labels=labels)[:-200])


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


def _nan_weights() -> onnx.ModelProto:
    return model(
        [node("Mul", "x w", "y", "scale")], ["x[N,1,8,8]"], ["y[N,1,8,8]"], {"w": np.array([np.nan], np.float32)}
    )


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


def _npz(*, compressed: bool = False, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez
    save(buffer, **arrays)
    return buffer.getvalue()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return _zip({"x.npy": buffer.getvalue()})


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _zip_twice(data: bytes) -> bytes:
    return _zip({"x.npy": data, "y.npy": data}).replace(b"y.npy", b"x.npy")


def _header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _png(side: int) -> bytes:
    """A black picture of ``side`` x ``side`` whose rows are left out: only its header is honest."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
