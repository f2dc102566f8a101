"""What ``check`` said, resolved against the spec and ready for planning."""

from __future__ import annotations

from dataclasses import dataclass

from search.graph.description import ModelDescription
from search.graph.network import Network
from search.runtime.feeding import BATCH
from search.spec.goals import Goal
from search.spec.job import Pin
from search.spec.resolve import OutputInfo, resolve_goals
from search.targets.pins import PinTable, resolve_pins
from search.tasks import Answer
from search.work.kinds.check import Checked
from search.work.override_pins import translate
from search.work.problem import Problem


@dataclass(frozen=True, eq=False)
class Described:
    """What ``check`` said, ready for planning.

    Attributes:
        network: Groups and tensors.
        goals: Resolved goals.
        pins: Resolved pins.
        check: The answer itself.
    """

    network: Network
    goals: tuple[Goal, ...]
    pins: PinTable
    check: Answer[Checked]

    @property
    def n_samples(self) -> int:
        """Size of the evaluation set."""
        return self.check.value.n_samples

    @property
    def n_available(self) -> int:
        """Size of the evaluation set, or of the calibration set where there is no other."""
        return self.n_samples or self.check.value.n_calibration

    @property
    def batch(self) -> int:
        """Samples per look: whole runs of a dynamic model."""
        model = self.check.value.model
        return BATCH if model.fixed_batch else model.batch


def describe(problem: Problem, check: Answer[Checked]) -> Described:
    """Resolve goals and pins against the model.

    Raises:
        UsageError: If a goal, an output setting or a pin does not fit the model.
    """
    network = check.value.model.network
    goals: tuple[Goal, ...] = ()
    if problem.evaluation is not None:
        goals = resolve_goals(problem.spec.goal, output_infos(check.value.model), check.value.labels)
    pins = resolve_pins(network, problem.target, (*problem.spec.pins, *_stated_pins(problem, network, check)))
    return Described(network, goals, pins, check)


def output_infos(model: ModelDescription) -> list[OutputInfo]:
    """The outputs of a model as goals look at them."""
    return [OutputInfo(value.name, value.shape, tuple(model.parts.get(value.name, ()))) for value in model.outputs]


def _stated_pins(problem: Problem, network: Network, check: Answer[Checked]) -> tuple[Pin, ...]:
    """Pins that follow from the file of tensor overrides."""
    if problem.overrides is None:
        return ()
    return translate(problem.overrides, network, problem.target, check.value.override_places).pins
