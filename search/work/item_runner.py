"""The item runner: computes items. It reads inputs and blobs by digest and keeps what is expensive to make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from search.arrays import Array
from search.calibration.collect import with_outputs
from search.calibration.grids import Fixed, Grids, GridSettings
from search.calibration.ranges import Ranges
from search.canonical import Json
from search.data.fed import Fed
from search.data.inputs import InputInfo
from search.data.open import open_stored
from search.data.order import Split, Subset, sample_order, split_confirmation
from search.data.random import random_samples
from search.data.source import SampleSource
from search.data.stored import Stored
from search.encoding import encoded
from search.evaluation.biases import GridSource
from search.evaluation.configuration import Configuration
from search.evaluation.fitting import FittedGrids
from search.evaluation.lowering.lower import lower
from search.evaluation.measure import Use, outputs_of
from search.evaluation.qdq import QdqModel, QdqOptions, build_qdq
from search.evaluation.refusal import out_of_range
from search.graph.load import UserModel, read_model
from search.graph.lower_opset import lowest_opset
from search.metrics.metric import Metric
from search.metrics.reductions import Direction
from search.metrics.registry import make_metric
from search.runtime.arranging import Arrangement, arrange, read
from search.runtime.saturation import saturates_pairs
from search.runtime.session import Level, Session
from search.simulator.fast.session import IntegerSession
from search.simulator.making.infeasible import Infeasible
from search.simulator.program import Program, Warned
from search.spec.job import Evaluator
from search.spec.metric_names import is_python
from search.spec.output_part import read_part
from search.targets.placement import Placement, place
from search.tasks import R_co
from search.work.arrays import load_arrays
from search.work.conditions import MetricUse
from search.work.evaluable import Evaluable, Notes, cache_key
from search.work.fixing import fixed_tensors, imported_scales, imported_weights
from search.work.float_values import FloatValues
from search.work.goal_metric import check_trusted, graph_metric
from search.work.loaded import Loaded, inputs_of, take_in
from search.work.override_pins import Stated, locate, translate
from search.work.problem import Files, Problem
from search.work.python_metric import measuring_metric


@dataclass(frozen=True)
class Raw(Generic[R_co]):
    """What computing one item gave: a result, and blobs that are not stored yet."""

    value: R_co
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Json]:
        """The result as JSON."""
        return encoded(self.value)


class Layers(Protocol):
    """A model that gives its inner values; see ``search.work.inner_values``."""

    def values(self, feeds: Mapping[str, Array], batch: int) -> dict[str, Array]:
        """Return the values of the first of ``batch`` samples by name."""
        ...


class ItemRunner:
    """One problem's model and data, loaded; sessions of the last configuration kept.

    Attributes:
        problem: The study.
        files: Inputs and blobs.
        layers: Models that give their inner values, kept from sample to sample.
    """

    def __init__(self, problem: Problem, files: Files) -> None:
        self.problem = problem
        self.files = files
        self._evaluable: tuple[tuple[str, ...], Evaluable] | None = None
        self._inner: tuple[str, Session] | None = None
        self._exported: tuple[str, bytes, Session] | None = None
        self.layers: dict[str, Layers] = {}
        self._grids: dict[str, Grids] = {}
        self._orders: dict[str, npt.NDArray[np.int64]] = {}
        self._references: dict[str, Mapping[str, Array]] = {}
        self._float_values: FloatValues | None = None
        self._metrics: dict[str, Metric] = {}

    @cached_property
    def _user(self) -> UserModel:
        return read_model(self.files.path(self.problem.model))

    @cached_property
    def _session(self) -> Session:
        return Session(self._user.proto, level=Level.DEPLOYED, threads=self.problem.threads)

    @cached_property
    def inputs(self) -> tuple[InputInfo, ...]:
        """Declared inputs of the model."""
        return inputs_of(self._user)

    @cached_property
    def arrangement(self) -> Arrangement:
        """How samples lie in the inputs and outputs of the model."""
        return arrange(self._session, self.inputs, list(self._stored.values()), self.problem.spec.inputs)

    @cached_property
    def sets(self) -> Mapping[str, Fed]:
        """Every data set of the study by role, whole, in the form the model takes."""
        settings = self.problem.spec.inputs
        return {role: read(one, self.inputs, self.arrangement, settings) for role, one in self._stored.items()}

    @cached_property
    def loaded(self) -> Loaded:
        """The model, taken in."""
        return take_in(
            self._user,
            self._session,
            self.arrangement,
            next(iter(self.sets.values())),
            fusion=self.problem.target.fused,
        )

    @cached_property
    def _stored(self) -> Mapping[str, Stored]:
        """The data sets as they are stored; first the one that the model is looked at with."""
        problem, spec = self.problem, self.problem.spec
        digests = {"evaluation": problem.evaluation, "calibration": problem.calibration}
        found = {role: self._open(digest) for role, digest in digests.items() if digest is not None}
        if problem.calibration is None:
            found["calibration"] = random_samples(self.inputs, seed=spec.search.seed, settings=spec.inputs)
        if problem.confirmation is not None:
            found["confirmation"] = self._open(problem.confirmation)
        return found

    @cached_property
    def calibration(self) -> SampleSource:
        """Calibration samples."""
        return self.sets["calibration"]

    @cached_property
    def _evaluation_source(self) -> SampleSource:
        if self.problem.evaluation is None:
            raise ValueError("This study has no evaluation data.")
        return self.sets["evaluation"]

    @cached_property
    def evaluation(self) -> SampleSource:
        """Evaluation samples without those held back for confirmation."""
        split = self._split
        return self._evaluation_source if split is None else Subset(self._evaluation_source, split.evaluation)

    @cached_property
    def confirmation(self) -> SampleSource | None:
        """Samples the search never sees."""
        if self.problem.confirmation is not None:
            return self.sets["confirmation"]
        split = self._split
        return None if split is None else Subset(self._evaluation_source, split.confirmation)

    @cached_property
    def _split(self) -> Split | None:
        spec = self.problem.spec
        share = spec.data.confirmation_share
        if not share:
            return None
        return split_confirmation(self._evaluation_source.n_samples, share=share, seed=spec.search.seed)

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """Seeded order in which evaluation samples are run."""
        return sample_order(self.evaluation.n_samples, seed=self.problem.spec.search.seed)

    def order_of(self, blob: str | None) -> npt.NDArray[np.int64]:
        """The order an item runs samples in: that of the study, or a stored rearrangement of it."""
        if blob is None:
            return self.order
        if blob not in self._orders:
            self._orders = {blob: self.order[load_arrays(self.files.get(blob))["order"]]}
        return self._orders[blob]

    def _open(self, digest: str) -> Stored:
        spec = self.problem.spec
        fed = [info for info in self.inputs if info.name not in spec.inputs or not spec.inputs[info.name].has_value]
        return open_stored(self.files.path(digest), fed, spec.data.preprocess)

    def grids(self, configuration: Configuration) -> Grids:
        """Grids of a configuration."""
        key = f"{configuration.calibration}{configuration.treatment.to_json()['ranges']}"
        if key not in self._grids:
            ranges = Ranges.from_arrays(load_arrays(self.files.get(configuration.calibration.blob)))
            self._grids[key] = self._make_grids(configuration, ranges)
        return self._grids[key]

    def _make_grids(self, configuration: Configuration, ranges: Ranges) -> Grids:
        weights = self.problem.spec.calibration.weights
        settings = GridSettings(
            method_8=configuration.calibration.method_8,
            method_16=configuration.calibration.method_16,
            method_other=configuration.calibration.method_other,
            fixed={**self.fixed, **{tensor: Fixed(exact=True) for tensor in configuration.calibration.exact}},
            stated={**imported_scales(self.loaded, self.problem.target), **self.stated.scales},
            stated_weights={**imported_weights(self.loaded), **self.stated.weights},
            ranges=configuration.treatment.ranges,
            per_channel=weights.granularity == "channel",
            symmetric=weights.symmetric,
            reduced=self._has_reduced_weights,
        )
        template = self.loaded.template
        return Grids(template.network, self.problem.target, ranges, template.array, settings)

    @property
    def _has_reduced_weights(self) -> bool:
        """Whether 8-bit weights have seven bits: as asked, else where this processor would saturate."""
        asked = self.problem.spec.calibration.weights.reduce_range
        return asked if asked != "auto" else self.problem.is_deployed_here and saturates_pairs()

    @cached_property
    def fixed(self) -> Mapping[int, Fixed]:
        """Tensors whose scale, range or method the spec or the model fixes."""
        ranges = {tensor: Fixed(range=ends) for tensor, ends in self.stated.ranges.items()}
        return {**ranges, **fixed_tensors(self.problem.spec, self.problem.target, self.loaded)}

    @cached_property
    def stated(self) -> Stated:
        """What the file of tensor overrides states."""
        document = self.problem.overrides
        if document is None:
            return Stated()
        network = self.loaded.structure.network
        return translate(document, network, self.problem.target, locate(document, self.loaded))

    def placement(self, configuration: Configuration) -> Placement:
        """Formats and casts of a configuration."""
        network = self.loaded.structure.network
        outputs = {name: settings.precision for name, settings in self.problem.spec.outputs.items()}
        return place(network, self.problem.target, configuration.effective, output_precision=outputs)

    def measured_grids(self, configuration: Configuration, placement: Placement) -> GridSource:
        """Grids of a configuration as it is run: weights are coarser where a runtime's bias needs it."""
        grids: GridSource = self.grids(configuration)
        return FittedGrids(self.loaded.template, placement, grids) if self.level is Level.DEPLOYED else grids

    def qdq(self, configuration: Configuration, *, explicit_moves: bool = False) -> QdqModel:
        """The Q/DQ model of a configuration."""
        template, placement = self.loaded.template, self.placement(configuration)
        grids = self.measured_grids(configuration, placement)
        runs_integers = self.level is Level.DEPLOYED
        options = QdqOptions(
            explicit_moves=explicit_moves or runs_integers,
            guarded=not runs_integers,
            prescale=configuration.treatment.prescale,
        )
        return build_qdq(template, placement, grids, options)

    def exported(self, configuration: Configuration) -> tuple[bytes, Session]:
        """The exported file of a configuration, and it read back, ready to run; the last one is kept."""
        if self._exported is None or self._exported[0] != configuration.digest:
            self._exported = None
            data = self.exported_bytes(configuration)
            session = Session(data, level=self.level, threads=self.problem.threads)
            self._exported = (configuration.digest, data, session)
        return self._exported[1:]

    def exported_bytes(self, configuration: Configuration) -> bytes:
        """``model.qdq.onnx`` of a configuration."""
        return bytes(_as_delivered(self.qdq(configuration, explicit_moves=True).model).SerializeToString())

    @property
    def level(self) -> Level:
        """Optimization level at which this target's models are measured."""
        return Level.DEPLOYED if self.problem.is_deployed_here else Level.PINNED

    def evaluable(self, configuration: Configuration, evaluator: Evaluator, extra: Sequence[str]) -> Evaluable:
        """A configuration ready to run; the last one is kept, because ranges of one trial follow each other.

        Args:
            configuration: What to run.
            evaluator: By integer arithmetic or as a Q/DQ model.
            extra: Values inside the prepared graph that are delivered, too.
        """
        key = cache_key(configuration, evaluator, extra)
        if self._evaluable is None or self._evaluable[0] != key:
            self._evaluable = None
            make = self._in_integers if evaluator == "integer" else self._as_qdq
            self._evaluable = (key, make(configuration, extra))
        self._evaluable[1].begin()
        return self._evaluable[1]

    def _as_qdq(self, configuration: Configuration, extra: Sequence[str]) -> Evaluable:
        made = self.qdq(configuration)
        lowered = _as_delivered(made.model)
        model = with_outputs(lowered, extra) if extra else lowered
        session = Session(model, level=self.level, threads=self.problem.threads)
        return Evaluable(session, Notes(float_biases=made.float_biases))

    def _in_integers(self, configuration: Configuration, extra: Sequence[str]) -> Evaluable:
        try:
            program = self.program(configuration, extra)
        except Infeasible as error:
            return replace(self._as_qdq(configuration, extra), refused=out_of_range(error))
        warnings = tuple(Warned(one.code, one.node, one.text) for one in program.warnings)
        notes = Notes(warnings=warnings, float_interior=program.float_interior)
        return Evaluable(IntegerSession(program, threads=self.problem.threads), notes)

    def program(self, configuration: Configuration, extra: Sequence[str] = ()) -> Program:
        """The integer program of a configuration.

        Raises:
            Infeasible: If a requantize shift is out of the range of the chip.
        """
        return lower(
            self.loaded.template,
            self.placement(configuration),
            self.grids(configuration),
            self.problem.target.arithmetic,
            prescale=configuration.treatment.prescale,
            extra_outputs=extra,
        )

    def uses(self, stated: Sequence[MetricUse]) -> tuple[Use, ...]:
        """Metrics, ready to measure."""
        outputs = tuple(value.name for value in self._user.outputs)
        return tuple(
            Use(
                id=one.id,
                metric=self._metric(one),
                outputs=outputs if one.output is None else (one.output,),
                labels=one.labels,
            )
            for one in stated
        )

    def _metric(self, use: MetricUse) -> Metric:
        if use.graph is None:
            return make_metric(use.metric, use.percentile)
        if use.metric not in self._metrics:
            self._metrics[use.metric] = self._own_metric(use.metric, use.graph, use.direction or "higher")
        return self._metrics[use.metric]

    def _own_metric(self, name: str, digest: str, direction: Direction) -> Metric:
        if not is_python(name):
            return graph_metric(name, self.files.path(digest), direction=direction, threads=self.problem.threads)
        check_trusted(self.problem, name)
        return measuring_metric(name, self.problem.own_metrics, digest=digest, direction=direction)

    def float_outputs(
        self, blob: str | None, indices: npt.NDArray[np.int64], names: Sequence[str]
    ) -> Mapping[str, Array]:
        """Float outputs of evaluation samples: stored ones, or computed again where they were too large to store."""
        if blob is None:
            loaded = self.loaded
            return outputs_of(loaded.user_session, self.evaluation, loaded.feeding, indices, names)
        if blob not in self._references:
            self._references = {blob: load_arrays(self.files.get(blob))}
        parts = {name: read_part(name) for name in names}
        return {name: part.take(self._references[blob][part.output][indices]) for name, part in parts.items()}

    def float_values(self, outputs: Sequence[str]) -> FloatValues:
        """What points are measured against; kept, because tasks on the same samples follow each other."""
        if self._float_values is None or self._float_values.outputs != tuple(outputs):
            self._float_values = None
            self._float_values = FloatValues(self.loaded, self.evaluation, outputs, threads=self.problem.threads)
        return self._float_values

    def forget_float_values(self) -> None:
        """Give their memory back: what crosses cuts is large, and evaluations need the room."""
        self._float_values = None

    def inner_values(self, names: Sequence[str], indices: npt.NDArray[np.int64]) -> Mapping[str, Array]:
        """Float values inside the prepared graph."""
        key = "\0".join(names)
        if self._inner is None or self._inner[0] != key:
            model = with_outputs(self.loaded.template.model, names)
            self._inner = (key, Session(model, level=Level.PINNED, threads=self.problem.threads))
        return outputs_of(self._inner[1], self.evaluation, self.loaded.feeding, indices, names)


def _as_delivered(model: onnx.ModelProto) -> onnx.ModelProto:
    """At the lowest opset that says it, so that older tools read it.

    What is measured is at that opset, too: of another one the runtime joins other operators, which differ in bits.
    """
    return lowest_opset(model)
