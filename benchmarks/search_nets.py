"""Small random networks whose whole space can be searched: pictures to classes, with outliers planted or diffuse.

*Planted*: one channel of some layers is far louder than the rest and the next layer hardly listens to it, so that
8 bit of those tensors or weights spoil the answer. *Diffuse*: nothing planted; many classes lie close together, so that
the ordinary rounding noise of all layers turns samples over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.runtime.session import Level, Session

SIDE = 8
N_SAMPLES, N_CALIBRATION = 2000, 64
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Kind:
    """One network to make.

    Attributes:
        name: For the table.
        seed: Of weights and data.
        convs: Convolutions.
        channels: Of each.
        classes: Outputs.
        loud: Layers with a planted outlier, by index.
        loudness: Of it.
        residual: Whether the later convolutions add their input.
        heads: Outputs with a goal each.
        share: Goal: where the allowed drop lies between what all high loses (0) and what all low loses (1).
        target: Chip.
    """

    name: str
    seed: int
    convs: int = 3
    channels: int = 8
    classes: int = 20
    loud: tuple[int, ...] = ()
    loudness: float = 60.0
    residual: bool = False
    heads: int = 1
    share: float = 0.3
    target: str = "j6m"

    @property
    def is_diffuse(self) -> bool:
        """Whether nothing is planted."""
        return not self.loud


def write(kind: Kind, folder: Path) -> dict[str, Any]:
    """Write model and data; return a job whose goal every assignment meets.

    Labels are what float says, so float is right everywhere and the drop counts the samples that are turned over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(kind.seed)
    proto = _network(kind, rng)
    _balance(proto, _pictures(rng, N_SAMPLES))
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    session = Session(proto, level=Level.DEPLOYED)
    calibration, pictures = _pictures(rng, N_CALIBRATION), _pictures(rng, N_SAMPLES)
    found = session.run({"x": pictures})
    labels = {
        f"labels{suffix}": np.argmax(found[f"logits{suffix}"], axis=1).astype(np.int64) for suffix in _heads(kind)
    }
    np.savez(folder / "calibration.npz", x=calibration)
    np.savez(folder / "evaluation.npz", x=pictures, **labels)  # type: ignore[arg-type]
    return {
        "schema": "bitbudget.job/1",
        "model": str(folder / "model.onnx"),
        "data": {"calibration": str(folder / "calibration.npz"), "evaluation": str(folder / "evaluation.npz")},
        "target": {"name": kind.target, **({} if kind.target == "ort-cpu" else {"toolchain": "3.2.0"})},  # a16w16
        "goal": goal(1.0, heads=kind.heads),
        "pins": [] if kind.target == "ort-cpu" else [{"match": "*", "at_most": "int16"}],
        "search": {"evaluator": "fake_quant"},
    }


def _balance(proto: onnx.ModelProto, pictures: Array) -> None:
    """Shift the logits so that no class is ahead of the others on the average."""
    found = Session(proto, level=Level.DEPLOYED).run({"x": pictures})
    for one in proto.graph.initializer:
        if one.name.startswith("bias"):
            mean = found["logits" + one.name.removeprefix("bias")].mean(axis=0)
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) - mean, one.name))


def goal(drop: float, *, heads: int = 1) -> list[dict[str, Any]]:
    """One goal per head with an allowed drop."""
    return [
        {"metric": "top1", "output": f"logits{suffix}", "labels": f"labels{suffix}", "max_drop": drop}
        for suffix in ("", *range(1, heads))
    ]


def _heads(kind: Kind) -> list[str]:
    """What the names of each head end with."""
    return ["", *map(str, range(1, kind.heads))]


def _pictures(rng: np.random.Generator, n: int) -> Array:
    smooth = rng.normal(size=(n, 1, SIDE, 1)) * rng.normal(size=(n, 1, 1, SIDE))
    return (smooth + rng.normal(0, 0.7, (n, 1, SIDE, SIDE))).astype(np.float32)


def _network(kind: Kind, rng: np.random.Generator) -> onnx.ModelProto:
    constants: dict[str, Array] = {}
    nodes, value, width = [], "x", 1
    scale = np.ones(1)
    for i in range(kind.convs):
        weight = rng.normal(0, np.sqrt(2.0 / (9 * width)), (kind.channels, width, 3, 3)) / scale[:, None, None]
        scale = np.ones(kind.channels)
        if i in kind.loud:
            loud = int(rng.integers(kind.channels))
            weight[loud] *= kind.loudness
            scale[loud] = kind.loudness * 4
        constants |= {f"w{i}": weight, f"b{i}": rng.normal(0, 0.1, kind.channels)}
        nodes.append(helper.make_node("Conv", [value, f"w{i}", f"b{i}"], [f"c{i}"], f"conv{i}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"], f"relu{i}"))
        if kind.residual and i > 0 and not kind.loud:
            nodes.append(helper.make_node("Add", [f"r{i}", value], [f"a{i}"], f"add{i}"))
            value = f"a{i}"
        else:
            value = f"r{i}"
        width = kind.channels
    nodes += [
        helper.make_node("AveragePool", [value], ["p"], "pool", kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        *(helper.make_node("Gemm", ["f", f"w{s}h", f"bias{s}"], [f"logits{s}"], f"head{s}") for s in _heads(kind)),
    ]
    n = width * (SIDE // 4) ** 2
    for s in _heads(kind):
        constants[f"w{s}h"] = rng.normal(0, 1 / np.sqrt(n), (n, kind.classes)) / np.repeat(scale, n // width)[:, None]
        constants[f"bias{s}"] = rng.normal(0, 0.1, kind.classes)
    graph = helper.make_graph(
        nodes,
        kind.name.replace(" ", "_"),
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info(f"logits{s}", TensorProto.FLOAT, ["N", kind.classes]) for s in _heads(kind)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def kinds() -> Iterator[Kind]:
    """The networks of the benchmark: planted first, then diffuse."""
    for seed in range(6):
        yield Kind(f"planted {seed}", seed, convs=3 + seed % 2, loud=(seed % 3,), loudness=15.0 + 5 * (seed % 3))
    for seed in range(6, 12):
        yield Kind(f"planted twice {seed}", seed, convs=4, loud=(0, 2), loudness=12.0, share=0.2 + 0.1 * (seed % 3))
    for seed in range(12, 18):
        yield Kind(f"diffuse {seed}", seed, convs=3 + seed % 2, share=0.25 + 0.1 * (seed % 3))
    for seed in range(18, 21):
        yield Kind(f"diffuse, residual {seed}", seed, convs=3, residual=True, share=0.4)
    for seed in range(21, 25):
        yield Kind(f"diffuse, j6p {seed}", seed, convs=3, target="j6p", share=0.35)
    for seed in range(25, 28):
        yield Kind(f"diffuse, ort-cpu {seed}", seed, convs=3, target="ort-cpu", share=0.35)
    for seed in range(28, 31):
        yield Kind(f"diffuse, two outputs {seed}", seed, convs=2, heads=2, share=0.35)
    yield Kind("planted, two outputs 31", 31, convs=2, heads=2, loud=(0,), loudness=20.0)
