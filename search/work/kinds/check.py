"""``check``: read the model, prove that the rewritten graph is still the user's, describe it for planning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from search.canonical import Json
from search.data.class_counts import class_counts
from search.data.extremes import Extremes, extremes_of
from search.encoding import decoded
from search.graph.description import CHECK, ModelDescription
from search.tasks import Kind
from search.work.conditions import Reading
from search.work.item_runner import ItemRunner, Raw
from search.work.override_pins import Place, locate
from search.work.self_test import describe_model

KIND = Kind(name=CHECK, label="read and check the model", doing="reading and testing the model", phase="validate")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What planning needs to know of the model and its data.

    Attributes:
        model: The model.
        labels: Label arrays of the evaluation data.
        n_samples: Evaluation samples, without those held back; 0 where there is no such data.
        n_calibration: Calibration samples.
        extremes: What the largest values of the calibration data say.
        override_places: Tensor of the file of overrides to what it is in the network.
        model_bytes: Size of the model file.
        classes: Label array to class to number of evaluation samples.
    """

    model: ModelDescription
    labels: tuple[str, ...]
    n_samples: int
    n_calibration: int
    extremes: Extremes
    override_places: Mapping[str, Place]
    model_bytes: int | None = None
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Check:
    """Read the model and the data.

    Attributes:
        evaluation: Digest of the evaluation data.
        calibration: Digest of the calibration data; None for random numbers.
        confirmation_share: Share of the evaluation data that is held back.
        seed: Of what is held back, and of random numbers.
        reading: How data files become samples.
        override_tensors: Tensors that the file of overrides names; None where there is none.
    """

    kind: ClassVar[Kind] = KIND
    evaluation: str | None
    calibration: str | None
    confirmation_share: float
    seed: int
    reading: Reading
    override_tensors: tuple[str, ...] | None

    def read(self, data: Json) -> Checked:
        """Read a stored result."""
        return decoded(Checked, data)

    def run(self, runner: ItemRunner) -> Raw[Checked]:
        """Describe the model and test the rewriting."""
        loaded, evaluated = runner.loaded, self.evaluation is not None
        source = runner.evaluation if evaluated else runner.calibration
        overrides = runner.problem.overrides
        return Raw(
            Checked(
                model=describe_model(loaded, source),
                labels=tuple(runner.evaluation.label_keys) if evaluated else (),
                n_samples=runner.evaluation.n_samples if evaluated else 0,
                n_calibration=runner.calibration.n_samples,
                extremes=extremes_of(
                    runner.sets["calibration"],
                    {tensor.op_name for tensor in loaded.structure.network.tensors if tensor.writer is None},
                ),
                override_places={} if overrides is None else locate(overrides, loaded),
                model_bytes=runner.files.path(runner.problem.model).stat().st_size,
                classes=class_counts(runner.evaluation) if evaluated else {},
            )
        )
