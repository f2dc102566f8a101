"""A model ready to run on the CPU, at a stated optimization level.

Four levels, because the runtime's optimizer changes what a Q/DQ graph computes:

- ``DEPLOYED``: everything on, Q/DQ fused into integer kernels; how plain models are timed and ``ort-cpu`` is deployed.
- ``PINNED``: everything on but Q/DQ fusion: the float kernels of ``DEPLOYED``, the roundings of the graph as written.
- ``INTEGER``: ``PINNED`` without the rewrites that scale constants into weights or move them past each other: integers
  held in float tensors stay integers. For the graphs of ``search.simulator.fast``.
- ``PLAIN``: no optimization; each node as the standard says, another summation order, slower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from search.arrays import Array
from search.errors import OutOfMemoryError, UnsupportedModelError
from search.runtime.defects import REWRITES_OF_CONSTANTS, TRANSPOSE_FUSION, has_cast_between_transpose_and_product
from search.runtime.refusals import is_out_of_memory, load_refusal, run_refusal
from search.spec.output_part import output_of, outputs_of_parts

_RUNTIME_ERRORS = (
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
    ort_state.EPFail,
    RuntimeError,
)


class Level(Enum):
    """How much the runtime may rewrite the graph."""

    DEPLOYED = "deployed"
    PINNED = "pinned"
    INTEGER = "integer"
    PLAIN = "plain"


class Session:
    """One model, loaded. ``run`` may be called any number of times; nothing is kept between calls."""

    def __init__(self, model: bytes | onnx.ModelProto, *, level: Level, threads: int = 1) -> None:
        """Load ``model``.

        Raises:
            UnsupportedModelError: If the runtime cannot take the model; ``OutOfMemoryError`` for want of memory.
        """
        data = model if isinstance(model, bytes) else model.SerializeToString()
        try:
            self._session = ort.InferenceSession(
                data,
                _options(level, threads),
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_disabled(model, level),
            )
        except _RUNTIME_ERRORS as error:
            kind = OutOfMemoryError if is_out_of_memory(str(error)) else UnsupportedModelError
            raise kind(load_refusal(str(error))) from error
        except MemoryError as error:
            raise OutOfMemoryError(load_refusal("bad_alloc")) from error
        self.inputs: tuple[str, ...] = tuple(value.name for value in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self._session.get_outputs())
        self.tensor_outputs: tuple[str, ...] = tuple(
            value.name for value in self._session.get_outputs() if value.type.startswith("tensor(")
        )  # sequences and optional values are no arrays

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Run once and return the named outputs (all by default).

        Under the name of a part (``y[:, 4:]``) the whole output is returned: which axis is the sample is known to the
        feeding, which takes the part.

        Raises:
            UnsupportedModelError: If the runtime refuses the inputs or an operator fails; ``OutOfMemoryError``.
            ValueError: If an input is missing.
        """
        asked = tuple(outputs) if outputs is not None else self.outputs
        names = outputs_of_parts(asked)
        if not names:
            return {}  # the runtime would take an empty list for all
        try:
            # A scalar that came out of NumPy as a number must go in as an array of no axes.
            values = self._session.run(list(names), {name: np.asarray(value) for name, value in feeds.items()})
        except _RUNTIME_ERRORS as error:
            kind = OutOfMemoryError if is_out_of_memory(str(error)) else UnsupportedModelError
            raise kind(run_refusal(str(error), feeds)) from error
        except MemoryError as error:
            raise OutOfMemoryError(run_refusal("bad_alloc", feeds)) from error
        found = {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
        return {text: found[output_of(text)] for text in asked}


def versions() -> dict[str, str]:
    """Versions of the libraries whose change may change a result."""
    return {"onnxruntime": str(ort.__version__), "onnx": str(onnx.__version__), "numpy": str(np.__version__)}


def _options(level: Level, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if level is Level.PLAIN
        else ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    if level in (Level.PINNED, Level.INTEGER):
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def _disabled(model: bytes | onnx.ModelProto, level: Level) -> list[str] | None:
    """Return the optimizers that must not touch ``model``."""
    if level is Level.PLAIN:
        return None
    if level is Level.INTEGER:
        return [*REWRITES_OF_CONSTANTS, TRANSPOSE_FUSION]
    try:
        proto = onnx.load_model_from_string(model) if isinstance(model, bytes) else model
    except DecodeError:
        return None  # the runtime says what is wrong
    return [TRANSPOSE_FUSION] if has_cast_between_transpose_and_product(proto) else None
