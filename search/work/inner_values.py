"""Models that give their inner values: the float one and the quantized one, under the names of the user's model.

What the rewriting of the graph took away (a folded BatchNormalization's input) has no value in the quantized run. A
value that is stored rounded is given as its readers see it: rounded, as a real number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from search.arrays import Array
from search.calibration.collect import fresh_part, with_outputs
from search.evaluation.configuration import Configuration
from search.evaluation.measure import Runnable
from search.quant.grid import fake_quantize
from search.runtime.session import Level, Session
from search.work.item_runner import ItemRunner, Layers
from search.work.loaded import Loaded

_SEQUENCES = ("SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SplitToSequence", "SequenceMap")
_LEFT_OUT = frozenset({*_SEQUENCES, "Optional", "Constant"})
"""Operators whose results are no arrays, or no results at all."""


@dataclass(frozen=True, eq=False)
class NamedSession:
    """A model that gives its inner values.

    Attributes:
        session: What runs.
        names: Name of a value in the user's model to its name in ``session``.
    """

    session: Runnable
    names: Mapping[str, str]

    def values(self, feeds: Mapping[str, Array], batch: int) -> dict[str, Array]:
        """Return the values of the first of ``batch`` samples by the names of the user's model."""
        found = self.session.run(feeds, list(dict.fromkeys(self.names.values())))
        return {name: fresh_part(found[inner], batch, 1) for name, inner in self.names.items()}


def rounded_inputs(runner: ItemRunner, configuration: Configuration, own: Mapping[str, Array]) -> dict[str, Array]:
    """Model inputs as the quantized model reads them first: on their grid, where they are stored as integers."""
    placement, grids = runner.placement(configuration), runner.grids(configuration)
    found = dict(own)
    for name, array in own.items():
        tensor = runner.loaded.template.roots.get(name)
        if tensor is not None and array.dtype == np.float32 and placement.stored[tensor].is_integer:
            found[name] = fake_quantize(
                array.astype(np.float32, copy=False), grids.activation(tensor, placement.stored[tensor])
            )
    return found


def float_layers(runner: ItemRunner) -> Layers:
    """The user's model; of one that came with Q/DQ pairs, the float model without them."""
    if "float" not in runner.layers:
        loaded = runner.loaded
        model = loaded.template.model if loaded.was_quantized else loaded.user.proto
        names = value_names(model)
        session = Session(with_outputs(model, names), level=Level.DEPLOYED, threads=runner.problem.threads)
        runner.layers["float"] = NamedSession(session, {name: name for name in names})
    return runner.layers["float"]


def quantized_layers(runner: ItemRunner, configuration: Configuration, evaluator: str) -> Layers:
    """The quantized model of record: integer arithmetic, or the Q/DQ model."""
    key = f"{evaluator}:{configuration.digest}"
    if key not in runner.layers:
        make = _integer_layers if evaluator == "integer" else _qdq_layers
        runner.layers[key] = make(runner, configuration)
    return runner.layers[key]


def _qdq_layers(runner: ItemRunner, configuration: Configuration) -> NamedSession:
    made = runner.qdq(configuration)
    there = {*value_names(made.model), *(value.name for value in made.model.graph.input)}
    now = {name: made.stored.get(name, name) for name in _names_now(runner.loaded)}
    inner = {name: value for name, value in now.items() if value in there}
    session = Session(
        with_outputs(made.model, list(inner.values())), level=runner.level, threads=runner.problem.threads
    )
    return NamedSession(session, _renamed(runner.loaded, inner, session.outputs))


def _integer_layers(runner: ItemRunner, configuration: Configuration) -> NamedSession:
    """Values inside a fused group do not exist in integers: only what a group reads or writes."""
    extra = [name for name in runner.loaded.template.tensor_of if name not in runner.loaded.template.outputs]
    session = runner.evaluable(configuration, "integer", extra).session
    inner = {name: name for name in session.outputs}
    return NamedSession(session, _renamed(runner.loaded, inner, session.outputs))


def _names_now(loaded: Loaded) -> list[str]:
    """Values of the prepared graph, its inputs first."""
    model = loaded.template.model
    return [*(value.name for value in model.graph.input), *value_names(model)]


def _renamed(loaded: Loaded, inner: Mapping[str, str], delivered: Iterable[str]) -> dict[str, str]:
    """Add the names of the user's model for values that now have another one; drop what the session does not give."""
    given = set(delivered)
    found = {name: value for name, value in inner.items() if value in given}
    for before, now in loaded.value_names.items():
        if now in found:
            found.setdefault(before, found[now])
    return found


def value_names(model: onnx.ModelProto) -> list[str]:
    """Values that nodes of the main graph compute and that are arrays."""
    return [name for node in model.graph.node if node.op_type not in _LEFT_OUT for name in node.output if name]
