"""The self-test: the rewritten graph with every tensor in float equals the user's model, on every output.

It runs before any trial, on some samples of the study. A model is described for planning only once it has passed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from search.arrays import Array
from search.calibration.collect import with_outputs
from search.calibration.grids import WeightGrid
from search.data.source import SampleSource
from search.errors import SelfTestError, UnsupportedModelError
from search.evaluation.qdq import QdqOptions, build_qdq
from search.graph.description import ModelDescription, Value
from search.graph.opset import WORKING_OPSET, lift
from search.precision import Format
from search.quant.grid import Grid
from search.runtime.session import Level, Session
from search.targets.placement import Placement
from search.work.loaded import Loaded
from search.work.output_parts import parts_of_outputs

SELF_TEST_SAMPLES = 8
RELATIVE_TOLERANCE = 1e-3  # of the output's largest absolute value: float32 sums in another order
ABSOLUTE_TOLERANCE = 1e-5


def describe_model(loaded: Loaded, samples: SampleSource) -> ModelDescription:
    """What planning needs to know of a model, after the self-test.

    Raises:
        SelfTestError: If the rewritten graph differs from the user's model.
    """
    return ModelDescription(
        self_test=self_test(loaded, samples),
        network=loaded.structure.network,
        batch=loaded.feeding.batch,
        fixed_batch=loaded.feeding.fixed,
        mixes=loaded.arrangement.mixes,
        outputs=tuple(Value(one.name, None, tuple(one.shape or ())) for one in loaded.user.outputs),
        parts=parts_of_outputs(loaded, samples),
        inputs=tuple(Value(one.name, str(one.dtype), tuple(one.shape)) for one in loaded.user.inputs),
        ranking=loaded.ranking,
        notes=loaded.notes,
        opset=loaded.opset,
        exporter=f"{loaded.user.proto.producer_name} {loaded.user.proto.producer_version}".strip(),
    )


def self_test(loaded: Loaded, samples: SampleSource) -> dict[str, float]:
    """Compare the rewritten graphs with the user's model.

    Returns:
        Output name to largest absolute difference over its largest absolute value.

    Raises:
        SelfTestError: If an output differs by more than the tolerance; names the first diverging node.
    """
    if loaded.was_quantized:
        return {}  # the user's model rounds, the restored float graph does not: there is nothing to be equal to
    feeding = loaded.feeding
    n = feeding.batch if feeding.fixed else min(SELF_TEST_SAMPLES, samples.n_samples)
    feeds = samples.batch(np.arange(n) % samples.n_samples)
    expected = loaded.user_session.run(feeds)
    placement = _all_float(loaded)
    rewritten = build_qdq(loaded.template, placement, _NoGrids(), QdqOptions()).model
    got = Session(rewritten, level=Level.PINNED).run(feeds)
    worst = {}
    for name, reference in expected.items():
        if not np.issubdtype(reference.dtype, np.floating):
            continue
        difference, size = _distance(got[name], reference)
        worst[name] = difference / size if size else difference
        if difference > RELATIVE_TOLERANCE * size + ABSOLUTE_TOLERANCE:
            _check_conversion(loaded, feeds, name, reference)
            raise SelfTestError(_divergence(loaded, feeds, name, difference, size))
    return worst


def _check_conversion(loaded: Loaded, feeds: Mapping[str, Array], output: str, reference: Array) -> None:
    """Blame the opset conversion where it alone makes the difference: the converter keeps some operators' meaning not.

    Raises:
        UnsupportedModelError: If it does; names the first node with other values.
    """
    before, after = loaded.opset
    if before == after or loaded.user.proto.functions:
        return
    lifted = lift(loaded.user.proto).proto
    difference, size = _distance(Session(lifted, level=Level.PLAIN).run(feeds, [output])[output], reference)
    if difference > RELATIVE_TOLERANCE * size + ABSOLUTE_TOLERANCE:
        raise UnsupportedModelError(
            f"Converting the model from opset {before} to {after} changes what it computes. "
            f"{_divergence(loaded, feeds, output, difference, size)} Export it again at opset {WORKING_OPSET}."
        )


class _NoGrids:
    """Grid source for a graph in which nothing is quantized."""

    def activation(self, tensor: int, fmt: Format) -> Grid:
        raise ValueError(f"Tensor {tensor} is float, it has no {fmt.value} grid.")

    def weight(self, constant: int, fmt: Format) -> WeightGrid:
        raise ValueError(f"Constant {constant} is float, it has no {fmt.value} grid.")


def _all_float(loaded: Loaded) -> Placement:
    network = loaded.structure.network
    return Placement(
        stored=(Format.FP32,) * len(network.tensors),
        read=tuple((Format.FP32,) * len(group.inputs) for group in network.groups),
        constants=(Format.FP32,) * len(network.constants),
    )


def _distance(a: Array, b: Array) -> tuple[float, float]:
    if a.shape != b.shape:
        return float("inf"), 1.0
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return float("inf"), 1.0
    if not finite.any():
        return 0.0, 0.0
    return float(np.max(np.abs(np.subtract(a[finite], b[finite])))), float(np.max(np.abs(b[finite])))


def _divergence(loaded: Loaded, feeds: Mapping[str, Array], output: str, difference: float, size: float) -> str:
    """Say which node first gives other values than in the user's model."""
    text = f"The rewritten graph differs from the model on output {output!r} by {difference:.3g} (of {size:.3g})."
    kept = {name for node in loaded.template.model.graph.node for name in node.output}
    names = [name for node in loaded.user.proto.graph.node for name in node.output if name in kept]
    before = Session(with_outputs(_copy(loaded.user.proto), names), level=Level.PLAIN).run(feeds, names)
    after = Session(with_outputs(loaded.template.model, names), level=Level.PLAIN).run(feeds, names)
    for node in loaded.user.proto.graph.node:
        for name in node.output:
            if name not in before or not np.issubdtype(before[name].dtype, np.floating):
                continue
            gap, scale = _distance(after[name], before[name])
            if gap > RELATIVE_TOLERANCE * scale + ABSOLUTE_TOLERANCE:
                return f"{text} The first node to diverge is {node.name or name!r} ({node.op_type})."
    return text


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
