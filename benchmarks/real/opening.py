"""Open a delivered file as its user does and compare it with the float model: ``python -m benchmarks.real.opening``.

``FLOAT.onnx DELIVERED.onnx SAMPLES.npz CONSTANTS``; prints ``{output: sqnr_db}`` over all samples, one at a time, in
sessions with nothing but the defaults. A process of its own: a runtime that aborts ends this process only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort


def fed(session: Any, arrays: dict[str, np.ndarray], constants: dict[str, int], index: int) -> dict[str, np.ndarray]:
    """Return one sample in the shapes and types that the model's inputs have."""
    feeds = {}
    for value in session.get_inputs():
        dtype = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}.get(value.type, np.float32)
        if value.name in constants:
            feeds[value.name] = np.asarray(constants[value.name], dtype)
            continue
        sample = arrays[value.name][index]
        is_open = [not isinstance(size, int) for size in value.shape]
        axis = next((i for i, one in enumerate(is_open) if one and i < 2), 0)
        if sample.ndim < len(value.shape):
            sample = np.expand_dims(sample, axis)
        feeds[value.name] = sample.astype(dtype)
    return feeds


def sqnr_db(model: Path, delivered: Path, samples: Path, constants: dict[str, int]) -> dict[str, float]:
    """Return ``10 log10(sum x^2 / sum e^2)`` over all samples of every real output, at most 200."""
    before, after = (ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (model, delivered))
    names = [value.name for value in before.get_outputs() if value.type == "tensor(float)"]
    arrays = dict(np.load(samples))
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for index in range(len(next(iter(arrays.values())))):
        feeds = fed(before, arrays, constants, index)
        for name, x, y in zip(names, before.run(names, feeds), after.run(names, feeds), strict=True):
            if x.shape != y.shape:
                raise ValueError(f"{name}: {y.shape} instead of {x.shape}.")
            signal[name] += float((x.astype(np.float64) ** 2).sum())
            noise[name] += float(((x.astype(np.float64) - y) ** 2).sum())
    return {name: _db(signal[name], noise[name]) for name in names}


def _db(signal: float, noise: float) -> float:
    if not noise:
        return 200.0
    return min(200.0, 10 * float(np.log10(signal / noise))) if signal else float("-inf")


if __name__ == "__main__":
    model, delivered, samples = (Path(argument) for argument in sys.argv[1:4])
    print(json.dumps(sqnr_db(model, delivered, samples, json.loads(sys.argv[4]))))
