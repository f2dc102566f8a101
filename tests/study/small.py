"""Small studies that still decide something: a network of 1x8x8 pictures whose 8-bit form misses its goal.

One channel of ``conv1`` is far louder than the others, and ``conv2`` does not listen to it: one 8-bit step for the
tensor between them leaves the channels that matter few levels, 16 bits leave enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.builders import conv, model, node, run, save

LOUD = 400.0
"""How much larger the loud channel is."""


@dataclass(frozen=True)
class Files:
    """Where a small study's inputs lie."""

    model: Path
    calibration: Path
    evaluation: Path

    @property
    def arguments(self) -> list[str]:
        """As options of ``bitbudget search``."""
        return [str(self.model), "--calibration", str(self.calibration), "--evaluation", str(self.evaluation)]


def conv_net(*, loud: float = LOUD, listens: bool = False, batch: str = "N", seed: int = 0) -> onnx.ModelProto:
    """Conv, Relu, Conv, Relu, mean, Gemm: pictures to ten classes.

    With ``listens``, ``conv2`` scales the loud channel back: its 8-bit weights lose that channel, so 16-bit activations
    alone do not help.
    """
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, 0.4, (8, 1, 3, 3)), rng.normal(0, 0.2, (12, 8, 3, 3))
    first[3] *= loud
    second[:, 3] *= 1 / loud if listens else 0
    constants = {
        "w1": first,
        "b1": rng.normal(0, 0.1, 8),
        "w2": second,
        "b2": rng.normal(0, 0.1, 12),
        "w3": rng.normal(0, 1, (12, 10)),
        "b3": rng.normal(0, 0.1, 10),
    }
    nodes = [
        conv("conv1", "x", "c1", weight="w1", bias="b1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1", "relu1"),
        conv("conv2", "r1", "c2", weight="w2", bias="b2", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", "c2", "r2", "relu2"),
        node("GlobalAveragePool", "r2", "p", "pool"),
        node("Flatten", "p", "f", "flat"),
        node("Gemm", "f w3 b3", "logits", "head"),
    ]
    return model(nodes, [f"x[{batch},1,8,8]"], [f"logits[{batch},10]"], constants)


def two_output_net(seed: int = 0) -> onnx.ModelProto:
    """The same with a second output ``xy`` of two numbers."""
    proto = conv_net(seed=seed)
    rng = np.random.default_rng(seed + 1)
    extra = model(
        [node("Gemm", "f w4", "xy", "place")], ["f[N,12]"], ["xy[N,2]"], {"w4": rng.normal(0, 1, (12, 2))}
    ).graph
    proto.graph.node.append(extra.node[0])
    proto.graph.output.append(extra.output[0])
    proto.graph.initializer.append(extra.initializer[0])
    return proto


def pictures(n: int, seed: int) -> Any:
    """Random smooth pictures, float32 ``[n, 1, 8, 8]``."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.normal(size=(n, 1, 8, 1)), rng.normal(size=(n, 1, 1, 8))
    return (rows * columns + rng.normal(0, 0.5, (n, 1, 8, 8))).astype(np.float32)


def clear_pictures(proto: onnx.ModelProto, n: int, seed: int) -> Any:
    """The half of ``2 n`` pictures about which the model is surest, so that 16 bits change no answer."""
    x = pictures(2 * n, seed)
    logits = np.sort(_outputs(proto, x)["logits"], axis=1)
    return x[np.sort(np.argsort(logits[:, -2] - logits[:, -1], kind="stable")[:n])]


def _outputs(proto: onnx.ModelProto, x: Any) -> dict[str, Any]:
    step = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value or len(x)
    runs = [run(proto, {"x": x[i : i + step]}) for i in range(0, len(x), step)]
    return {name: np.concatenate([one[name] for one in runs]) for name in runs[0]}


def labels_of(proto: onnx.ModelProto, x: Any, *, noise: float = 0.1, seed: int = 5) -> dict[str, Any]:
    """What the float model says, a few classes wrong, numbers slightly off."""
    rng = np.random.default_rng(seed)
    outputs = _outputs(proto, x)
    labels = outputs["logits"].argmax(axis=1)
    wrong = rng.random(len(x)) < noise
    found = {"labels": np.where(wrong, rng.integers(0, 10, len(x)), labels).astype(np.int64)}
    if "xy" in outputs:
        xy = outputs["xy"]
        found["labels_xy"] = (xy + rng.normal(0, 0.05, xy.shape)).astype(np.float32)
    return found


def write(folder: Path, proto: onnx.ModelProto | None = None, *, n: int = 300, n_calibration: int = 32) -> Files:
    """Write model, calibration and evaluation data into ``folder``."""
    proto = conv_net() if proto is None else proto
    folder.mkdir(parents=True, exist_ok=True)
    x = clear_pictures(proto, n, seed=2)
    np.savez(folder / "calibration.npz", x=pictures(n_calibration, seed=1))
    np.savez(folder / "evaluation.npz", x=x, **labels_of(proto, x))
    return Files(save(proto, folder), folder / "calibration.npz", folder / "evaluation.npz")


def whole_numbers(folder: Path, low: int = 0, high: int = 256) -> Files:
    """The network without the loud channel on pictures of whole numbers."""
    rng = np.random.default_rng(3)
    proto = conv_net(loud=1.0)
    x = rng.integers(low, high, (120, 1, 8, 8)).astype(np.float32)
    np.savez(folder / "calibration.npz", x=rng.integers(low, high, (32, 1, 8, 8)).astype(np.float32))
    np.savez(folder / "evaluation.npz", x=x, **labels_of(proto, x))
    return Files(save(proto, folder), folder / "calibration.npz", folder / "evaluation.npz")


def write_binary(folder: Path, *, n: int = 300, seed: int = 0) -> Files:
    """Two layers to one score per sample, and labels 0 or 1 that follow it but for one in ten."""
    rng = np.random.default_rng(seed)
    constants = {"w1": rng.normal(0, 0.5, (8, 16)), "b1": rng.normal(0, 0.1, 16), "w2": rng.normal(0, 0.5, (16, 1))}
    nodes = [
        node("Gemm", "x w1 b1", "h", "first"),
        node("Relu", "h", "r", "relu"),
        node("Gemm", "r w2", "score", "last"),
    ]
    proto = model(nodes, ["x[N,8]"], ["score[N,1]"], constants)
    folder.mkdir(parents=True, exist_ok=True)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    scores = run(proto, {"x": x})["score"][:, 0]
    labels = (scores > np.median(scores)) ^ (rng.random(n) < 0.1)
    np.savez(folder / "calibration.npz", x=x[:32])
    np.savez(folder / "evaluation.npz", x=x, labels=labels.astype(np.int64))
    return Files(save(proto, folder), folder / "calibration.npz", folder / "evaluation.npz")
