"""``check``: read the model, prove that the rewritten graph is still the user's, describe it for planning.

The self-test runs before any trial: the Q/DQ graph with every tensor in float must equal the user's model on the same
samples, on every output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from search.calibration.collect import with_outputs
from search.calibration.grids import WeightGrid
from search.data.checks import batch_size
from search.data.fed import Fed
from search.data.source import SampleSource
from search.errors import SelfTestError, UnsupportedModelError
from search.evaluation.qdq import QdqOptions, build_qdq
from search.graph.opset import WORKING_OPSET, lift
from search.precision import Format
from search.quant.grid import Grid
from search.runtime.session import Level, Session
from search.targets.placement import Placement
from search.work.item_runner import ItemRunner, Raw
from search.work.loaded import Loaded
from search.work.override_pins import locate

Array = npt.NDArray[Any]
SELF_TEST_SAMPLES = 8
OUTLIER_RATIO = 50.0  # of a sample's largest value to that of all others, from which on it alone sets the range
RELATIVE_TOLERANCE = 1e-3  # of the output's largest absolute value: float32 sums in another order
ABSOLUTE_TOLERANCE = 1e-5


def run_check(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Describe the model and test the rewriting."""
    del params
    loaded = runner.loaded
    evaluated = runner.problem.evaluation is not None
    data = {
        **describe_model(loaded, runner.evaluation if evaluated else runner.calibration),
        "labels": list(runner.evaluation.label_keys) if evaluated else [],
        "n_samples": runner.evaluation.n_samples if evaluated else 0,
        "n_calibration": runner.calibration.n_samples,
        **calibration_extremes(runner.sets["calibration"]),
    }
    if runner.problem.overrides is not None:
        data["override_places"] = locate(runner.problem.overrides, loaded)
    return Raw(data, {"nodes": json.dumps(_nodes(loaded)).encode()})


def describe_model(loaded: Loaded, samples: SampleSource) -> dict[str, Any]:
    """What planning needs to know of a model, after the self-test.

    Raises:
        SelfTestError: If the rewritten graph differs from the user's model.
    """
    return {
        "self_test": self_test(loaded, samples),
        "network": loaded.structure.network.to_json(),
        "feeding": [loaded.feeding.batch, loaded.feeding.fixed],
        "layouts": [one.to_json() for one in loaded.arrangement.layouts.values()],
        "mixes": loaded.arrangement.mixes,
        "outputs": [[value.name, list(value.shape or ())] for value in loaded.user.outputs],
        "inputs": [[value.name, str(value.dtype), list(value.shape)] for value in loaded.user.inputs],
        "ranking": {name: list(values) for name, values in loaded.ranking.items()},
        "notes": [[note.code, note.text, list(note.nodes)] for note in loaded.notes],
        "opset": list(loaded.opset),
    }


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


def calibration_extremes(samples: Fed) -> dict[str, Any]:
    """Inputs that are zero in every sample, and samples whose largest value alone sets the range of an input."""
    largest: dict[str, list[float]] = {name: [] for name in samples.source.layout}
    step = batch_size(samples.source)
    for start in range(0, samples.n_samples, step):
        for name, rows in samples.source.batch(slice(start, start + step)).items():
            flat = np.abs(rows.reshape(len(rows), -1).astype(np.float64)) if rows.size else np.zeros((len(rows), 1))
            largest[name] += flat.max(axis=1).tolist()
    outliers = []
    for name, values in largest.items():
        order = np.argsort(values)
        if len(values) > 1 and values[order[-1]] > OUTLIER_RATIO * values[order[-2]] > 0:
            outliers.append([name, int(order[-1]), values[order[-1]], values[order[-2]]])
    return {"zero_inputs": [name for name, values in largest.items() if not any(values)], "outliers": outliers}


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
    return float(np.max(np.abs(a[finite] - b[finite]))), float(np.max(np.abs(b[finite])))


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


def _nodes(loaded: Loaded) -> dict[str, list[Any]]:
    """Every node of the user's graph: role, group, into, why."""
    found: dict[str, list[Any]] = {}
    for name, fate in loaded.fates.items():
        found[name] = [fate.role, None, fate.into, fate.why]
    for name, role in loaded.structure.roles.items():
        found[name] = [role.role, role.group, role.into, role.why]
    return found
