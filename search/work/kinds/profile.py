"""``profile``: float against quantized, tensor by tensor, on some samples.

Two passes over the same runs: the first adds up errors and finds the ends, the second, of the float model alone, counts
histograms between them. Never more than the values of one run are held. The quantized model is the evaluator of record;
what its integers cannot run is profiled as a Q/DQ model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.calibration.collect import bounded, fresh_part, with_outputs
from search.canonical import Json
from search.data.source import SampleSource
from search.encoding import decoded
from search.evaluation.agreement import Agreement, Rounding, bin_ends, binned
from search.evaluation.configuration import Configuration
from search.evaluation.measure import Runnable
from search.precision import Format
from search.runtime.session import Level, Session
from search.spec.job import Evaluator
from search.targets.identity import Numerics
from search.tasks import Kind
from search.work.conditions import Reference
from search.work.inner_values import rounded_inputs, value_names
from search.work.item_runner import ItemRunner, Raw

KIND = Kind(
    name="profile",
    label="compare layer by layer",
    doing="comparing layer by layer",
    phase="export",
    delivers=True,
    is_search=False,
)
TENSORS = "tensors"
"""Blob: one entry per tensor of the network."""


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """How a profile was made.

    Attributes:
        samples: How many samples ran.
        evaluator: What computed the quantized model: the evaluator of record, or the Q/DQ model in its place.
    """

    samples: int
    evaluator: Evaluator


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Compare every tensor of the network.

    Attributes:
        reference: Evaluation samples, and how the model is quantized.
        numerics: What the target makes of the configuration.
        evaluator: By integer arithmetic or as a Q/DQ model.
        configuration: What is delivered.
        calibration: Digest of the calibration data, where its samples are used; None else.
        seed: Of the order in which evaluation samples are taken.
        samples: How many.
    """

    kind: ClassVar[Kind] = KIND
    reference: Reference
    numerics: Numerics
    evaluator: Evaluator
    configuration: Configuration
    calibration: str | None
    seed: int
    samples: int

    def read(self, data: Json) -> Profiled:
        """Read a stored result."""
        return decoded(Profiled, data)

    def run(self, runner: ItemRunner) -> Raw[Profiled]:
        """Add up errors, then count histograms."""
        pair = _Pair(runner, self.configuration, self.evaluator)
        indices = pair.indices(self.samples)
        roundings = [pair.rounding(t) for t in range(len(pair.names))]
        sums = [Agreement(rounding) for rounding in roundings]
        for exact, found in pair.runs(indices):
            for name, agreement in zip(pair.names, sums, strict=True):
                if name in exact and name in found and exact[name].shape == found[name].shape:  # NMS may find others
                    agreement.update(exact[name], found[name])
        counts = _histograms(pair, indices, sums)
        rows = [
            {**agreement.to_json(), **_grid(rounding), "format": pair.format(t).value, "histogram": counts[t]}
            for t, (agreement, rounding) in enumerate(zip(sums, roundings, strict=True))
        ]
        value = Profiled(samples=len(indices), evaluator=pair.evaluator)
        return Raw(value, {TENSORS: json.dumps(rows, allow_nan=False, separators=(",", ":")).encode()})


def _histograms(pair: _Pair, indices: npt.NDArray[np.int64], sums: Sequence[Agreement]) -> list[dict[str, Json] | None]:
    ends = [bin_ends(one.low, one.high) if one.low <= one.high else None for one in sums]
    totals: list[npt.NDArray[np.int64] | int] = [0 for _ in sums]
    for exact in pair.float_runs(indices):
        for t, name in enumerate(pair.names):
            edges = ends[t]
            if edges is not None and name in exact:
                totals[t] = totals[t] + binned(exact[name], edges)
    return [
        None if edges is None else {"low": edges[0], "high": edges[1], "counts": np.asarray(total).tolist()}
        for edges, total in zip(ends, totals, strict=True)
    ]


def _grid(rounding: Rounding) -> dict[str, Json]:
    """Scale and ends of a tensor as JSON."""
    grid, ends = rounding.grid, rounding.ends
    symmetric = grid is not None and grid.signed and grid.zero_point == 0
    return {
        "scale": None if grid is None else grid.scale,
        "zero_point": None if grid is None else grid.zero_point,
        "threshold": grid.threshold if grid is not None and symmetric else None,
        "clip": None if ends is None else list(ends),
    }


@dataclass(frozen=True, eq=False)
class _Runs:
    """A model with the inner value that stands for each tensor."""

    session: Runnable
    values: Mapping[str, str]

    def run(self, feeds: Mapping[str, Array], batch: int, fresh: int) -> dict[str, Array]:
        found = self.session.run(feeds, list(dict.fromkeys(self.values.values())))
        return {name: fresh_part(found[value], batch, fresh) for name, value in self.values.items()}


class _Pair:
    """The float and the quantized model side by side; lives only while one item is computed."""

    def __init__(self, runner: ItemRunner, configuration: Configuration, evaluator: Evaluator) -> None:
        self._runner = runner
        self._configuration = configuration
        self._placement = runner.placement(configuration)
        self._grids = runner.grids(configuration)
        self.names = [tensor.name for tensor in runner.loaded.template.network.tensors]
        self.evaluator = evaluator
        self._feeding = bounded(runner.loaded.feeding, runner.loaded.template.network)

    @property
    def _source(self) -> SampleSource:
        runner = self._runner
        return runner.calibration if runner.problem.evaluation is None else runner.evaluation

    def indices(self, n: int) -> npt.NDArray[np.int64]:
        """The first ``n`` samples of the order a study runs them in."""
        if self._runner.problem.evaluation is None:
            return np.arange(min(n, self._source.n_samples))
        return self._runner.order[:n]

    def format(self, tensor: int) -> Format:
        """What a tensor is stored in."""
        return self._placement.stored[tensor]

    def rounding(self, tensor: int) -> Rounding:
        """How a tensor is stored."""
        fmt = self.format(tensor)
        if fmt.is_integer:
            return Rounding(grid=self._grids.activation(tensor, fmt))
        if fmt is Format.FP16:
            return Rounding(halves=True, prescale=self._configuration.treatment.prescale.get(tensor, 0))
        return Rounding()

    def runs(self, indices: npt.NDArray[np.int64]) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        """Yield the values of both models run by run."""
        for feeds, batch, fresh in self._feeds(indices):
            own = {name: fresh_part(array, batch, fresh) for name, array in feeds.items()}
            found = self._quantized.run(feeds, batch, fresh)
            yield (
                {**own, **self._float.run(feeds, batch, fresh)},
                {**rounded_inputs(self._runner, self._configuration, own), **found},
            )

    def float_runs(self, indices: npt.NDArray[np.int64]) -> Iterator[dict[str, Array]]:
        """Yield the values of the float model alone."""
        for feeds, batch, fresh in self._feeds(indices):
            own = {name: fresh_part(array, batch, fresh) for name, array in feeds.items()}
            yield {**own, **self._float.run(feeds, batch, fresh)}

    def _feeds(self, indices: npt.NDArray[np.int64]) -> Iterator[tuple[dict[str, Array], int, int]]:
        for wanted, fresh in self._feeding.slices(indices):
            yield dict(self._source.batch(wanted)), len(wanted), fresh

    @cached_property
    def _float(self) -> _Runs:
        model = self._runner.loaded.template.model
        names = [name for name in self.names if name in set(value_names(model))]
        session = Session(with_outputs(model, names), level=Level.PINNED, threads=self._runner.problem.threads)
        return _Runs(session, {name: name for name in names})

    @cached_property
    def _quantized(self) -> _Runs:
        if self.evaluator == "integer":
            outputs = set(self._runner.loaded.template.outputs)
            inner = [name for name in self.names if name not in outputs]
            model = self._runner.evaluable(self._configuration, "integer", inner)
            if model.refused is None:
                given = set(model.session.outputs)
                return _Runs(model.session, {name: name for name in self.names if name in given})
            self.evaluator = "fake_quant"
        made = self._runner.qdq(self._configuration)
        there = {*value_names(made.model), *(value.name for value in made.model.graph.input)}
        values = {name: value for name in self.names if (value := made.stored.get(name, name)) in there}
        model = with_outputs(made.model, list(values.values()))
        session = Session(model, level=self._runner.level, threads=self._runner.problem.threads)
        given = set(session.outputs)
        return _Runs(session, {name: value for name, value in values.items() if value in given})
