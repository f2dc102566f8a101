"""``sensitivity``: the output errors of points, each alone (or everything but it), on the bad cases of the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from search.calibration.collect import with_outputs
from search.evaluation.qdq import QdqOptions, build_qdq
from search.metrics.output_error import ERROR_NAMES, output_errors
from search.precision import Format
from search.runtime.session import Level, Session
from search.sensitivity.params import PointParams
from search.sensitivity.points import Point, PointKind
from search.sensitivity.switched import Switched, switched_model
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
        self._switched: tuple[Switched, Session] | None = None
        self._reference: list[dict[str, Array]] | None = None

    def alone(self, point: Point) -> Errors:
        """Errors with only this point rounded."""
        switched, session = self._switches()
        return self._errors(session, {switched.switches[point]})

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
        return self._errors(session, set())

    def _switches(self) -> tuple[Switched, Session]:
        if self._switched is None:
            switched = switched_model(
                self._bench.loaded.template,
                self._placement,
                self._grids,
                self._points,
                prescale=self._params.base.treatment.prescale,
            )
            model = with_outputs(switched.model, self._params.outputs)
            self._switched = switched, Session(model, level=Level.PINNED, threads=self._bench.problem.threads)
        return self._switched

    def _errors(self, session: Session, on: set[str]) -> Errors:
        """Mean errors over the samples with these switches on."""
        reference = self._references()
        sums: Errors = {name: dict.fromkeys(ERROR_NAMES, 0.0) for name in self._params.outputs}
        for run, values in enumerate(self._run(session, on)):
            for name in self._params.outputs:
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
            self._reference = list(self._run(session, set()))
        return self._reference

    def _run(self, session: Session, on: set[str]) -> Iterator[dict[str, Array]]:
        switches = {name: np.array(name in on) for name in session.inputs if name.startswith("switch/")}
        for indices, fresh in self._bench.loaded.feeding.slices(self._indices):
            values = session.run({**self._bench.evaluation.batch(indices), **switches}, self._params.outputs)
            yield {name: _rows(value, len(indices), fresh) for name, value in values.items()}

    def _transformed(self, name: str, value: Array) -> Array:
        kind = self._transforms.get(name)
        return value if kind is None else TRANSFORMS[kind](value)


def _rows(value: Array, batch: int, fresh: int) -> Array:
    if value.ndim and value.shape[0] == batch:
        return value[:fresh]
    return value[np.newaxis]
