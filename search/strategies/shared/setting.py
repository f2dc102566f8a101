"""The facts a strategy starts from: fixed once float, calibration and the comparison of methods are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from search.assignment import Assignment
from search.evaluation.configuration import Calibration, Configuration
from search.graph.network import Network
from search.spec.goals import ALL_OUTPUTS
from search.spec.job import Evaluator
from search.spec.output_part import output_of
from search.strategies.shared.goals import GoalState
from search.targets.cost import CostModel
from search.targets.identity import Numerics, numerics
from search.targets.legalise import Legaliser, uniform
from search.targets.pins import PinTable
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from search.work.conditions import Evaluation


@dataclass(frozen=True, kw_only=True)
class Size:
    """Ranges of one number of calibration samples.

    Attributes:
        samples: How many.
        blob: Digest of the ranges.
        methods: 8-bit methods that gave every tensor a range.
    """

    samples: int
    blob: str
    methods: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Setting:
    """Everything but the results of trials.

    Attributes:
        network: Groups and tensors.
        target: The chip.
        cost: Cost of assignments.
        book: Legal precisions of every group.
        pins: Precisions the user fixed.
        output_precision: Output name to ``high | int8 | int16``.
        goals: With their requirements.
        n_samples: Size of the evaluation set.
        batch: Samples per run.
        macs: Multiply-accumulates per sample.
        task_macs: Multiply-accumulates of one item that ranges of samples are cut to, so that several workers share a
            large evaluation; never by how many workers there are.
        calibration: Scales in use.
        extremes: Tensor index to smallest and largest value seen in calibration.
        ranking_values: Output to the values whose error ranks its points (the output, or what stands before a cut).
        context: Context digest of items.
        evaluation: What every evaluation shares.
        calibrations: Scales to choose among, where the search is over them alone.
        sizes: Calibration sample counts to choose among beside precisions.
        staged: Whether evaluations stop early by the model of search/strategies/auto/early_stopping.py.
        ordered: Whether samples run by margin, the smallest first; parts and margins of the goals are in that order.
        further_samples: Samples that measure points beyond the bad cases, in the seeded order.
        evaluator: Evaluator of record. A goal counts as met only if the Q/DQ model meets it, too.
    """

    network: Network
    target: Target
    cost: CostModel
    book: Rulebook
    pins: PinTable
    output_precision: Mapping[str, str]
    goals: tuple[GoalState, ...]
    n_samples: int
    batch: int
    macs: float
    calibration: Calibration
    extremes: tuple[tuple[float, float] | None, ...]
    ranking_values: Mapping[str, tuple[str, ...]]
    context: str
    evaluation: Evaluation
    calibrations: tuple[Calibration, ...] = ()
    sizes: tuple[Size, ...] = ()
    staged: bool = False
    ordered: bool = False
    further_samples: tuple[int, ...] = ()
    evaluator: Evaluator = "fake_quant"
    task_macs: float = float("inf")

    @property
    def all_ranking_values(self) -> tuple[str, ...]:
        """Values whose errors make the bad cases: those of every output with a goal, in network order."""
        wanted = dict.fromkeys(goal.output for goal in self.goals)
        places = {name: place for place, name in enumerate((*self.network.outputs, ALL_OUTPUTS))}
        ordered = sorted(wanted, key=lambda text: places[output_of(text)])
        return tuple(dict.fromkeys(value for name in ordered for value in self.ranking_values[name]))

    @property
    def methods_8(self) -> tuple[str, ...]:
        """8-bit methods that gave every tensor a range at some sample count, in the order of the first count."""
        return tuple(dict.fromkeys(method for size in self.sizes for method in size.methods))

    @property
    def bounds(self) -> tuple[Assignment, Assignment]:
        """``all_low`` and ``all_high`` after the chip rules, without pins."""
        free = Legaliser(self.book)
        low = free.legalise(uniform(self.network, self.target, "low")).effective
        high = free.legalise(uniform(self.network, self.target, "high")).effective
        return low, high

    def numerics(self, configuration: Configuration, evaluator: Evaluator) -> Numerics:
        """What the target makes of a configuration, as part of the items that measure it."""
        return numerics(self.book, configuration.effective, integers=evaluator == "integer")

    @cached_property
    def legaliser(self) -> Legaliser:
        """The chip rules with the pins."""
        return Legaliser(self.book, self.pins)
