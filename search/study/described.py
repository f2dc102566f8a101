"""What ``check`` said, resolved against the spec and ready for planning."""

from __future__ import annotations

from dataclasses import dataclass

from search.graph.network import Network
from search.runtime.feeding import BATCH
from search.spec.goals import Goal
from search.spec.job import Pin
from search.spec.resolve import OutputInfo, resolve_goals
from search.targets.pins import PinTable, resolve_pins
from search.tasks import ItemResult
from search.work.override_pins import translate
from search.work.problem import Problem


@dataclass(frozen=True, eq=False)
class Described:
    """What ``check`` said, ready for planning.

    Attributes:
        network: Groups and tensors.
        goals: Resolved goals.
        pins: Resolved pins.
        check: The result itself.
    """

    network: Network
    goals: tuple[Goal, ...]
    pins: PinTable
    check: ItemResult

    @property
    def n_samples(self) -> int:
        """Size of the evaluation set."""
        return int(self.check.data["n_samples"])

    @property
    def batch(self) -> int:
        """Samples per look: whole runs of a dynamic model."""
        size, fixed = self.check.data["feeding"]
        return BATCH if fixed else int(size)


def describe(problem: Problem, check: ItemResult) -> Described:
    """Resolve goals and pins against the model.

    Raises:
        UsageError: If a goal, an output setting or a pin does not fit the model.
    """
    network = Network.from_json(dict(check.data["network"]))
    outputs = [OutputInfo(name, tuple(shape)) for name, shape in check.data["outputs"]]
    goals: tuple[Goal, ...] = ()
    if problem.evaluation is not None:
        goals = resolve_goals(problem.spec.goal, outputs, check.data["labels"])
    pins = resolve_pins(network, problem.target, (*problem.spec.pins, *_stated_pins(problem, network, check)))
    return Described(network, goals, pins, check)


def _stated_pins(problem: Problem, network: Network, check: ItemResult) -> tuple[Pin, ...]:
    """Pins that follow from the file of tensor overrides."""
    if problem.overrides is None:
        return ()
    return translate(problem.overrides, network, problem.target, check.data["override_places"]).pins
