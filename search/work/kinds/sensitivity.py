"""``sensitivity``: the output errors of points, each alone (or everything but it), sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from search.arrays import Array
from search.calibration.collect import with_outputs
from search.canonical import Json
from search.encoding import decoded
from search.evaluation.configuration import Configuration
from search.evaluation.measure import comparable
from search.evaluation.qdq import QdqOptions, build_qdq
from search.metrics.output_error import ERROR_NAMES, output_errors
from search.precision import Format
from search.runtime.session import Level, Session
from search.sensitivity.points import Point, PointKind
from search.sensitivity.switched import switched_model
from search.sensitivity.tails import positions, tail
from search.spec.output_part import output_of
from search.targets.identity import Numerics
from search.tasks import Kind
from search.work.conditions import Reference
from search.work.float_values import Run
from search.work.item_runner import ItemRunner, Raw
from search.work.transforms import TRANSFORMS

GATHERED = 2**20
"""Elements of outputs whose errors are taken at once; a run alone may have more."""
Errors = dict[str, dict[str, list[float]]]
Mode = Literal["only", "all_but"]
KIND = Kind(name="sensitivity", label="measure sensitivity", doing="measuring sensitivity", phase="sensitivity")


@dataclass(frozen=True)
class PointErrors:
    """Errors of one point.

    Attributes:
        errors: Value to error name to the error of each sample.
    """

    errors: Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, kw_only=True)
class MeasurePoint:
    """Measure one point of one base.

    Attributes:
        reference: Evaluation samples, and how the model is quantized.
        numerics: What the target makes of the base.
        base: The configuration whose formats and scales are used.
        point: What is rounded.
        mode: ``only``: this point alone; ``all_but``: everything the base rounds except this point.
        samples: Sample indices, the bad cases of the base.
        outputs: Values whose error is taken.
    """

    kind: ClassVar[Kind] = KIND
    reference: Reference
    numerics: Numerics
    base: Configuration
    point: Point
    mode: Mode
    samples: tuple[int, ...]
    outputs: tuple[str, ...]

    def read(self, data: Json) -> PointErrors:
        """Read a stored result."""
        return decoded(PointErrors, data)

    def run(self, runner: ItemRunner) -> Raw[PointErrors]:
        """Measure this point alone; several that belong together are cheaper by ``run_points``."""
        return next(run_points(runner, [self]))


def run_points(runner: ItemRunner, points: Sequence[MeasurePoint]) -> Iterator[Raw[PointErrors]]:
    """Measure points that share base, mode, samples and outputs, in order."""
    first = points[0]
    probe = _Probe(runner, first, [one.point for one in points])
    measure = probe.alone if first.mode == "only" else probe.spared
    for one in points:
        yield Raw(PointErrors({name: _frozen(found) for name, found in measure(one.point).items()}))


def _frozen(errors: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    return {key: tuple(values) for key, values in errors.items()}


@dataclass(frozen=True, eq=False)
class _Tail:
    """A session on the graph from a cut on, and the model outputs that it gives."""

    session: Session
    start: int
    outputs: tuple[str, ...]
    switches: Mapping[Point, str]


class _Probe:
    """Sessions and references shared by the points of one task."""

    def __init__(self, runner: ItemRunner, params: MeasurePoint, points: Sequence[Point]) -> None:
        self._runner = runner
        self._params = params
        self._transforms = params.reference.transforms
        self._placement = runner.placement(params.base)
        self._grids = runner.grids(params.base)
        self._float = runner.float_values(params.outputs)
        self._runs = self._float.runs(np.array(params.samples, dtype=np.int64))
        self._groups = _groups(self._runs, params.outputs)
        self._references: dict[tuple[int, str], Array] = {}
        at = positions(runner.loaded.template, points)
        self._starts = {point: max(cut for cut in self._float.cuts if cut <= at[point]) for point in points}
        self._tails: dict[int, _Tail] = {}

    def alone(self, point: Point) -> Errors:
        """Errors with only this point rounded."""
        start = self._starts[point]
        if start not in self._tails:
            self._tails[start] = self._tail(start)
        tail = self._tails[start]
        return self._errors(tail, tail.switches[point])

    def spared(self, point: Point) -> Errors:
        """Errors with everything the base rounds except this point."""
        placement = self._placement
        if point.kind is PointKind.WEIGHT:
            constants = tuple(Format.FP32 if c == point.index else fmt for c, fmt in enumerate(placement.constants))
            placement = replace(placement, constants=constants)
        else:
            network = self._runner.loaded.structure.network
            stored = tuple(Format.FP32 if t == point.index else fmt for t, fmt in enumerate(placement.stored))
            read = tuple(
                tuple(
                    Format.FP32 if slot.tensor == point.index else placement.read[g][s]
                    for s, slot in enumerate(group.inputs)
                )
                for g, group in enumerate(network.groups)
            )
            placement = replace(placement, stored=stored, read=read)
        options = QdqOptions(guarded=True, prescale=self._params.base.treatment.prescale)
        model = build_qdq(self._runner.loaded.template, placement, self._grids, options).model
        session = Session(
            with_outputs(model, self._params.outputs), level=Level.PINNED, threads=self._runner.problem.threads
        )
        return self._errors(_Tail(session, 0, self._params.outputs, {}), None)

    def _tail(self, start: int) -> _Tail:
        """The graph from a cut on, with a switch for every point whose tail starts there."""
        runner, outputs = self._runner, self._params.outputs
        switched = switched_model(
            runner.loaded.template,
            self._placement,
            self._grids,
            [point for point, cut in self._starts.items() if cut == start],
            prescale=self._params.base.treatment.prescale,
        )
        model = with_outputs(switched.model, outputs)
        if start:
            model = tail(model, start, self._float.crossing(start, self._runs[0]))
        session = Session(model, level=Level.PINNED, threads=runner.problem.threads)
        found = tuple(name for name in outputs if output_of(name) in session.outputs)
        return _Tail(session, start, found, switched.switches)

    def _errors(self, tail: _Tail, switch: str | None) -> Errors:
        """Errors of every sample with this switch on; outputs before the cut have none."""
        found: Errors = {name: {key: [] for key in ERROR_NAMES} for name in self._params.outputs}
        for index, group in enumerate(self._groups):
            for name, values in self._values(tail, switch, group).items():
                reference = self._reference(index, name)
                errors = output_errors(comparable(self._transformed(name, values), reference), reference)
                for key in ERROR_NAMES:
                    found[name][key] += np.asarray(errors[key], dtype=np.float64).tolist()
        none = [0.0] * len(self._params.samples)
        return {name: {key: one or none for key, one in by.items()} for name, by in found.items()}

    def _values(self, tail: _Tail, switch: str | None, runs: Sequence[Run]) -> dict[str, Array]:
        """Outputs of some runs' samples with this switch on."""
        session = tail.session
        switches = {name: np.array(name == switch) for name in session.inputs if name.startswith("switch/")}
        found: dict[str, list[Array]] = {name: [] for name in tail.outputs}
        for run in runs:
            feeds = {**run.feeds, **self._float.crossing(tail.start, run), **switches}
            values = session.run({name: feeds[name] for name in session.inputs}, tail.outputs)
            for name in tail.outputs:
                found[name].append(run.rows(name, values[name]))
        return {name: _together(rows) for name, rows in found.items()}

    def _reference(self, group: int, name: str) -> Array:
        """The float model's output for the samples of one group of runs."""
        if (group, name) not in self._references:
            whole = _together([run.rows(name, run.values[name]) for run in self._groups[group]])
            self._references[group, name] = self._transformed(name, whole)
        return self._references[group, name]

    def _transformed(self, name: str, value: Array) -> Array:
        kind = self._transforms.get(name)
        return value if kind is None else TRANSFORMS[kind](value)


def _groups(runs: Sequence[Run], outputs: Sequence[str]) -> list[list[Run]]:
    """Put runs with small outputs of one size together: their errors are taken at once."""
    groups: list[list[Run]] = []
    room = 0
    sizes: list[tuple[int, ...]] = []
    for run in runs:
        size = sum(run.values[name].size for name in outputs)
        found = [run.rows(name, run.values[name]).shape[1:] for name in outputs]
        if size > room or found != sizes:
            groups.append([])
            room, sizes = GATHERED, found
        groups[-1].append(run)
        room -= size
    return groups


def _together(rows: Sequence[Array]) -> Array:
    return rows[0] if len(rows) == 1 else np.concatenate(rows)
