"""What the strategies are compared with: random search, and ONNX Runtime's mixed-precision helper under a bisection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.execution_providers.qnn.mixed_precision_overrides_utils import (
    MixedPrecisionTensorQuantOverridesFixer,
)
from onnxruntime.quantization.tensor_quant_overrides import TensorQuantOverridesHelper

from benchmarks.search_lab import Lab
from search.assignment import Assignment
from search.precision import Format
from search.sensitivity.points import PointKind
from search.strategies.exhaustive.strategy import choices_above_low
from search.strategies.ladder.strategy import merged_rows
from search.strategies.shared.bisect import fewest
from search.strategies.shared.session import TrialSession
from search.targets.legalise import uniform
from search.tasks import Plan

DRAWS = 1000


def random_search(session: TrialSession, *, trials: int, seed: int = 0) -> Plan[None]:
    """Draw a share, then raise every group with that chance; what is dearer than the best so far is not run.

    Args:
        session: The session.
        trials: Evaluations at most, beside the bounds.
        seed: Seed of the draws.
    """
    setting = session.setting
    met = yield from bounds(session)
    if met:
        return
    rng, own = np.random.default_rng(seed), choices_above_low(setting.pins)
    for _ in range(DRAWS):
        if len(session.trials) >= trials + 2:
            return
        share = rng.random()
        drawn = Assignment(
            tuple(
                some[int(rng.integers(1, len(some)))] if len(some) > 1 and rng.random() < share else some[0]
                for some in own
            )
        )
        best = min((trial.cost for trial in session.trials if trial.is_met), default=np.inf)
        if setting.cost.index(drawn) < best:
            yield from session.evaluate(drawn, stage="random")


def ort_helper(session: TrialSession, *, lab: Lab) -> Plan[None]:
    """Raise the ``k`` most sensitive activations as ONNX Runtime's helper completes them; ``k`` by bisection.

    The helper gives every node that touches a raised tensor 16 bit on all its inputs and outputs; the groups of these
    nodes get the high precision of the chip.
    """
    setting = session.setting
    met = yield from bounds(session)
    if met:
        return
    tables = yield from session.tables(session.trials[0], "all low", formats=(Format.INT8,))
    tensors = [row.point.index for row in merged_rows(tables) if row.point.kind is PointKind.ACTIVATION]
    low = uniform(setting.network, setting.target, "low")
    high = uniform(setting.network, setting.target, "high")

    def probe(k: int) -> Plan[bool]:
        groups = _completed(lab, [setting.network.tensors[t].name for t in tensors[:k]])
        trial = yield from session.evaluate(low.with_({g: high[g] for g in groups}), stage="helper", why=f"{k} tensors")
        return trial.is_met

    if (yield from probe(len(tensors))):
        yield from fewest(0, len(tensors), probe)


def bounds(session: TrialSession) -> Plan[bool]:
    """Both ends; whether the low one meets the goals."""
    setting = session.setting
    for level in ("low", "high"):
        request = uniform(setting.network, setting.target, "low" if level == "low" else "high")
        trial = yield from session.evaluate(request, stage=f"all {level}", full=True)
        if trial.is_met and level == "low":
            return True
    return False


def _completed(lab: Lab, names: Sequence[str]) -> frozenset[int]:
    """Groups that run at 16 bit once the helper has completed the overrides of some tensors."""
    template = lab.runner.loaded.template
    overrides = TensorQuantOverridesHelper({name: [{"quant_type": QuantType.QUInt16}] for name in names})
    fixer = MixedPrecisionTensorQuantOverridesFixer.create_from_model(overrides, template.model, QuantType.QUInt8)
    fixer.apply(default_activation_qtype=QuantType.QUInt8, default_activation_symmetric=False)
    nodes = set(_wide_nodes(template.model, overrides.get_dict()))
    return frozenset(template.group_of[node] for node in nodes if template.group_of.get(node) is not None)


def _wide_nodes(model: onnx.ModelProto, overrides: dict[str, list[dict]]) -> Iterator[str]:  # type: ignore[type-arg]
    """Nodes that write or read a tensor at 16 bit."""
    for node in model.graph.node:
        for name in node.output:
            if name in overrides and overrides[name][0].get("quant_type") is QuantType.QUInt16:
                yield node.name
        for name in node.input:
            entry = overrides.get(name, [{}])[0]
            convert = entry.get("convert")
            behind = convert is not None and node.name in convert.get("recv_nodes", {node.name})
            if (convert if behind else entry).get("quant_type") is QuantType.QUInt16:  # type: ignore[union-attr]
                yield node.name


def peer(name: str, lab: Lab, trials: int) -> partial[Plan[None]]:
    """A peer as a strategy."""
    return partial(random_search, trials=trials) if name == "random" else partial(ort_helper, lab=lab)
