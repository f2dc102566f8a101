"""``sensitivity``: the output errors of points, each alone (or everything but it), on the bad cases of the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from search.calibration.collect import with_outputs
from search.evaluation.qdq import QdqOptions, build_qdq
from search.metrics.output_error import ERROR_NAMES, output_errors
from search.precision import Format
from search.runtime.session import Level, Session
from search.sensitivity.params import PointParams
from search.sensitivity.points import Point, PointKind
from search.sensitivity.switched import Switched, switched_model
from search.sensitivity.tails import cut_positions, start_of, tail, values_at
from search.study.bench import Bench, Raw
from search.study.evaluating import TRANSFORMS

Array = npt.NDArray[Any]
Errors = dict[str, dict[str, float]]


def run_points(bench: Bench, all_params: Sequence[Mapping[str, Any]]) -> Iterator[Raw]:
    """Measure points that share base, mode, samples and outputs, in order."""
    first = PointParams.from_json(all_params[0])
    points = [PointParams.from_json(params).point for params in all_params]
    probe = _Probe(bench, first, all_params[0]["transforms"], points)
    measure = probe.alone if first.mode == "only" else probe.spared
    for point in points:
        yield Raw({"errors": measure(point)})


@dataclass(frozen=True, eq=False)
class _Tail:
    """A session, and what it reads beside the model's inputs: per run, the values that cross its cut."""

    session: Session
    crossing: Sequence[Mapping[str, Array]] | None
    outputs: tuple[str, ...]


class _Probe:
    """Sessions and references shared by the points of one task."""

    def __init__(
        self, bench: Bench, params: PointParams, transforms: Mapping[str, str], points: Sequence[Point]
    ) -> None:
        self._bench = bench
        self._params = params
        self._transforms = transforms
        self._placement = bench.placement(params.base)
        self._grids = bench.grids(params.base)
        self._indices = np.array(params.samples, dtype=np.int64)
        self._points = points
        self._switched: Switched | None = None
        self._cuts: tuple[int, ...] = ()
        self._tails: dict[int, _Tail] = {}
        self._crossing: list[dict[str, Array]] | None = None
        self._reference: list[dict[str, Array]] | None = None

    def alone(self, point: Point) -> Errors:
        """Errors with only this point rounded."""
        switched = self._switches()
        switch = switched.switches[point]
        start = start_of(switched.model, switch, self._cuts)
        if start not in self._tails:
            self._tails[start] = self._tail(switched.model, start)
        return self._errors(self._tails[start], switch)

    def spared(self, point: Point) -> Errors:
        """Errors with everything the base rounds except this point."""
        placement = self._placement
        if point.kind is PointKind.WEIGHT:
            constants = tuple(Format.FP32 if c == point.index else fmt for c, fmt in enumerate(placement.constants))
            placement = replace(placement, constants=constants)
        else:
            network = self._bench.loaded.structure.network
            stored = tuple(Format.FP32 if t == point.index else fmt for t, fmt in enumerate(placement.stored))
            read = tuple(
                tuple(
                    Format.FP32 if slot.tensor == point.index else placement.read[g][s]
                    for s, slot in enumerate(group.inputs)
                )
                for g, group in enumerate(network.groups)
            )
            placement = replace(placement, stored=stored, read=read)
        options = QdqOptions(prescale=self._params.base.treatment.prescale)
        model = build_qdq(self._bench.loaded.template, placement, self._grids, options).model
        session = Session(
            with_outputs(model, self._params.outputs), level=Level.PINNED, threads=self._bench.problem.threads
        )
        return self._errors(_Tail(session, None, self._params.outputs), None)

    def _switches(self) -> Switched:
        if self._switched is None:
            switched = switched_model(
                self._bench.loaded.template,
                self._placement,
                self._grids,
                self._points,
                prescale=self._params.base.treatment.prescale,
            )
            model = with_outputs(switched.model, self._params.outputs)
            self._switched = Switched(model, switched.switches)
            groups = self._bench.loaded.structure.network.groups
            self._cuts = cut_positions(model, {group.name: float(group.macs) for group in groups})
        return self._switched

    def _tail(self, model: onnx.ModelProto, start: int) -> _Tail:
        """The stretch of the switched model from a cut on, with what crosses the cut in the float model."""
        threads, outputs = self._bench.problem.threads, self._params.outputs
        if start == 0:
            return _Tail(Session(model, level=Level.PINNED, threads=threads), None, outputs)
        if self._crossing is None:
            self._crossing = self._float_values(
                model, sorted({name for cut in self._cuts for name in values_at(model, cut)})
            )
        names = values_at(model, start)
        crossing = [{name: run[name] for name in names} for run in self._crossing]
        session = Session(tail(model, start, crossing[0]), level=Level.PINNED, threads=threads)
        return _Tail(session, crossing, tuple(name for name in outputs if name in session.outputs))

    def _float_values(self, model: onnx.ModelProto, names: Sequence[str]) -> list[dict[str, Array]]:
        """Values of the switched model with every switch off, per run."""
        whole = Session(with_outputs(model, names), level=Level.PINNED, threads=self._bench.problem.threads)
        off = {name: np.array(False) for name in whole.inputs if name.startswith("switch/")}
        return [
            whole.run({**self._bench.evaluation.batch(indices), **off}, names)
            for indices, _ in self._bench.loaded.feeding.slices(self._indices)
        ]

    def _errors(self, tail: _Tail, switch: str | None) -> Errors:
        """Mean errors over the samples with this switch on; outputs before the cut have none."""
        reference = self._references()
        sums: Errors = {name: dict.fromkeys(ERROR_NAMES, 0.0) for name in self._params.outputs}
        for run, values in enumerate(self._run(tail, switch)):
            for name in tail.outputs:
                errors = output_errors(
                    self._transformed(name, values[name]), self._transformed(name, reference[run][name])
                )
                for key in ERROR_NAMES:
                    sums[name][key] += float(np.sum(errors[key], dtype=np.float64))
        return {name: {key: total / len(self._indices) for key, total in by.items()} for name, by in sums.items()}

    def _references(self) -> list[dict[str, Array]]:
        """Float values, run by run, from the prepared model at the same level."""
        if self._reference is None:
            model = with_outputs(self._bench.loaded.template.model, self._params.outputs)
            session = Session(model, level=Level.PINNED, threads=self._bench.problem.threads)
            self._reference = list(self._run(_Tail(session, None, self._params.outputs), None))
        return self._reference

    def _run(self, tail: _Tail, switch: str | None) -> Iterator[dict[str, Array]]:
        session = tail.session
        switches = {name: np.array(name == switch) for name in session.inputs if name.startswith("switch/")}
        for run, (indices, fresh) in enumerate(self._bench.loaded.feeding.slices(self._indices)):
            known = {} if tail.crossing is None else tail.crossing[run]
            feeds = {**self._bench.evaluation.batch(indices), **known, **switches}
            values = session.run({name: feeds[name] for name in session.inputs}, tail.outputs)
            yield {name: _rows(value, len(indices), fresh) for name, value in values.items()}

    def _transformed(self, name: str, value: Array) -> Array:
        kind = self._transforms.get(name)
        return value if kind is None else TRANSFORMS[kind](value)


def _rows(value: Array, batch: int, fresh: int) -> Array:
    if value.ndim and value.shape[0] == batch:
        return value[:fresh]
    return value[np.newaxis]
