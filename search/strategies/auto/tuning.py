"""``AutoTuning``: every number of ``auto`` that is not given by the chip, the network or the goal.

Each value says what it means, its unit, the range it may take, and the command that chose it. Values of one part of the
search are one record. To search with others::

    auto(session, AutoTuning(descent=DescentTuning(trials=20)))

How much each value matters is measured by ``python -m benchmarks.tuning``, which sets one value at a time to both ends
of its ``tried`` range.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypeVar

from search.strategies.shared.flip_probability import UNEVEN

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

SMALL = "python -m benchmarks.search --parts small"
SHARED = "python -m benchmarks.search --parts small shared"
CHECKS = "python -m benchmarks.search --parts checks"


Ends = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What one value of a tuning stands for.

    Attributes:
        text: What it does.
        unit: What it is measured in.
        low: Smallest value allowed.
        high: Largest value allowed.
        tried: Ends of the range within which its effect is measured.
        command: Benchmark that chose it.
    """

    text: str
    unit: str
    low: float
    high: float
    tried: Ends
    command: str


def _value(default: T, text: str, unit: str, ranges: tuple[Ends, Ends], command: str) -> T:
    """A field with its meaning; ``ranges`` are what it may be and what is tried."""
    (low, high), tried = ranges
    meaning = Meaning(text=text, unit=unit, low=low, high=high, tried=tried, command=command)
    return field(default=default, metadata={"meaning": meaning})


def meanings(part: type[DataclassInstance]) -> dict[str, Meaning]:
    """Return the meaning of every value of one part, by name."""
    return {one.name: one.metadata["meaning"] for one in fields(part)}


def _check(part: DataclassInstance) -> None:
    """Refuse values outside of what they may be.

    Raises:
        ValueError: Naming the value, its range and what was given.
    """
    for name, meaning in meanings(type(part)).items():
        value = getattr(part, name)
        for one in value if isinstance(value, tuple) else (value,):
            if not meaning.low <= one <= meaning.high:
                raise ValueError(
                    f"{type(part).__name__}.{name} is {one}; it must be from {meaning.low:g} to {meaning.high:g}: "
                    f"{meaning.text} [{meaning.unit}]."
                )


@dataclass(frozen=True, kw_only=True)
class NoiseTuning:
    """Of the noise model: priors of the multipliers, and how far noise powers add up."""

    common_sd: float = _value(
        1.0, "prior spread of all multipliers together", "standard deviations of 1", ((0.01, 10), (0.3, 3)), SMALL
    )
    own_sd: float = _value(
        0.4, "prior spread of each multiplier by itself", "standard deviations of 1", ((0.01, 10), (0.15, 1)), SMALL
    )
    floor_sd: float = _value(
        0.05, "prior spread of the noise that no choice removes", "share of the limit", ((0, 10), (0.01, 0.3)), SMALL
    )
    misfit: float = _value(
        0.08,
        "error of a predicted small noise",
        "relative, of a power",
        ((0.001, 2), (0.03, 0.25)),
        SMALL,
    )
    saturation: float = _value(
        0.5, "noise at which powers no longer add up", "power relative to the signal", ((0.01, 100), (0.2, 2)), SMALL
    )
    latest: float = _value(
        0.4, "weight of the latest surprise in the wariness of chosen predictions", "share", ((0, 1), (0, 0.8)), SMALL
    )
    largest_surprise: float = _value(
        0.3, "largest surprise that is taken in", "logarithm of a power", ((0, 10), (0.1, 1)), SMALL
    )
    smallest_multiplier: float = _value(
        0.02,
        "below it no multiplier falls: no point is without noise",
        "share of the row",
        ((1e-6, 1), (0.002, 0.2)),
        SMALL,
    )
    samples_sd: float = _value(
        0.05,
        "error of a noise that was measured on the first samples",
        "relative, of a power",
        ((0, 2), (0.01, 0.2)),
        SMALL,
    )
    loud: float = _value(
        0.1,
        "noise at int8 from which a point is measured finer, too",
        "power",
        ((1e-6, 1e6), (0.03, 1)),
        SHARED,
    )
    loud_points: int = _value(24, "loud points measured finer at most", "points", ((0, 10_000), (4, 96)), SHARED)


@dataclass(frozen=True, kw_only=True)
class GoalTuning:
    """Of the goal models: from noise at an output to the chance that a goal is met."""

    process_sd: float = _value(
        0.06,
        "spread of log kappa from one assignment to another",
        "logarithm of a power",
        ((1e-4, 5), (0.02, 0.2)),
        SMALL,
    )
    part_sd: float = _value(
        0.15,
        "error of noise measured on a small part of the samples",
        "logarithm of a power",
        ((0, 5), (0.05, 0.5)),
        SMALL,
    )
    overdispersion: float = _value(
        1.5, "variance of counted losses against independent ones", "factor", ((1, 100), (1, 4)), SMALL
    )
    gain_prior: float = _value(5.0, "weight of the prior of the gains", "samples", ((0.1, 1e6), (1, 25)), SMALL)
    tail_prior: float = _value(
        6.0, "weight of the prior of the losses with large margins", "samples", ((0.1, 1e6), (1, 30)), SMALL
    )
    front: int = _value(
        8,
        "one sample in so many, by smallest margin, is the front",
        "samples",
        ((1, 1000), (4, 16)),
        SMALL,
    )
    uneven: float = _value(
        UNEVEN, "spread of the noise from sample to sample", "logarithm of a power", ((0, 3), (0.3, 1.2)), SHARED
    )
    shared: float = _value(
        0.7, "variance that the uncertainties of two goals share", "share", ((0, 0.99), (0.3, 0.95)), SMALL
    )
    largest_deviation: float = _value(
        3.0,
        "largest deviation of a result from its model that is taken in",
        "standard deviations",
        ((0.1, 100), (2, 6)),
        SMALL,
    )
    reference_samples: int = _value(
        12, "fewest samples compared with an assignment that ran on all", "samples", ((3, 10_000), (6, 48)), SHARED
    )
    reference_wider: float = _value(
        1.3, "factor on the spread of that comparison: tails are heavy", "factor", ((0.1, 100), (1, 2)), SHARED
    )


@dataclass(frozen=True, kw_only=True)
class StoppingTuning:
    """Of early stopping by margin."""

    reject: float = _value(
        0.02, "chance below which an evaluation ends with a no", "chance", ((0, 0.5), (0.005, 0.1)), SMALL
    )
    accept: float = _value(
        0.93, "chance above which it ends with a provisional yes", "chance", ((0.5, 1), (0.8, 0.99)), SMALL
    )
    accept_early: float = _value(0.99, "the same before the front was seen", "chance", ((0.5, 1), (0.93, 0.999)), SMALL)
    tail: float = _value(0.35, "uncertainty of the losses not seen yet", "relative", ((0, 10), (0.1, 1)), SHARED)
    overdispersion: float = _value(
        1.5, "variance of counted losses against independent ones", "factor", ((1, 100), (1, 4)), SMALL
    )
    prior_sd: float = _value(
        0.35, "spread of x beside what is known of kappa", "logarithm of a power", ((0, 10), (0.1, 1)), SMALL
    )


@dataclass(frozen=True, kw_only=True)
class DescentTuning:
    """Of the descent: which candidates there are, which are worth an evaluation, and when it ends."""

    tightness: tuple[float, ...] = _value(
        (2.0, 1.4, 1.15, 1.0, 0.92, 0.85, 0.7, 0.5, 0.35, 0.2, 0.1, 0.02),
        "noise limits of the LP relaxation, descending", "share of the expected limit", ((1e-6, 100), (0.02, 2)), SMALL,
    )  # fmt: skip
    first_tightness: int = _value(5, "the one of them that is solved first", "index", ((0, 1000), (3, 7)), SMALL)
    worth_by_margin: float = _value(
        0.009, "expected saving below which nothing more is evaluated, samples by margin", "cost of all_low",
        ((0, 1), (0.003, 0.03)), SMALL,
    )  # fmt: skip
    worth_in_order: float = _value(
        0.006, "the same where samples run in the seeded order", "cost of all_low", ((0, 1), (0.002, 0.02)), SMALL
    )
    hopeless: float = _value(
        0.05,
        "chance below which, with nothing found, the goals are out of reach",
        "chance",
        ((0, 1), (0.01, 0.2)),
        SHARED,
    )
    safe: float = _value(
        0.8, "chance from which on a cost is thought to be reachable", "chance", ((0, 1), (0.5, 0.95)), SMALL
    )
    excluded: float = _value(
        0.1, "chance below which a cheaper neighbour counts as missed", "chance", ((0, 1), (0.02, 0.3)), SMALL
    )
    enumerated: int = _value(
        8192, "number of assignments up to which all are candidates", "assignments", ((1, 10**6), (1, 32768)), CHECKS
    )
    swapped: int = _value(
        12,
        "groups changed to what is cheaper, each with as many changed to what is dearer",
        "groups",
        ((0, 1000), (0, 48)),
        SMALL,
    )
    likeliest: int = _value(16, "enumerated assignments per step", "assignments", ((1, 10**6), (4, 64)), SMALL)
    ladder_each: int = _value(
        16, "ladder candidates one by one, before steps grow", "candidates", ((1, 10_000), (4, 64)), SMALL
    )
    ladder_growth: float = _value(1.15, "growth of the steps behind them", "factor", ((1, 10), (1.05, 1.6)), SMALL)
    trials: int = _value(12, "evaluations in one climb", "trials", ((1, 10_000), (4, 24)), SMALL)
    sets_by_margin: float = _value(
        2.25,
        "full sets run, by margin, from which on an answer is good enough",
        "evaluation sets",
        ((0, 1000), (1, 5)),
        SMALL,
    )
    sets_in_order: float = _value(3.0, "the same in the seeded order", "evaluation sets", ((0, 1000), (1.5, 6)), SMALL)
    sweep_by_margin: int = _value(
        10, "evaluations in one sweep, by margin; more, and nothing is claimed", "trials", ((0, 10_000), (3, 30)), SMALL
    )
    sweep_in_order: int = _value(5, "the same in the seeded order", "trials", ((0, 10_000), (2, 15)), SMALL)

    def worth(self, *, by_margin: bool) -> float:
        """Expected saving below which no further evaluation is made, in units of the cost of all_low."""
        return self.worth_by_margin if by_margin else self.worth_in_order

    def sets(self, *, by_margin: bool) -> float:
        """Full evaluation sets from which on an answer at hand is good enough."""
        return self.sets_by_margin if by_margin else self.sets_in_order

    def sweep(self, *, by_margin: bool) -> int:
        """Evaluations in one sweep at most."""
        return self.sweep_by_margin if by_margin else self.sweep_in_order


@dataclass(frozen=True, kw_only=True)
class AutoTuning:
    """Every number of ``auto``.

    Attributes:
        noise: Of the noise model.
        goal: Of the goal models.
        stopping: Of early stopping.
        descent: Of the descent.

    Raises:
        ValueError: If a value is out of its range.
    """

    noise: NoiseTuning = NoiseTuning()
    goal: GoalTuning = GoalTuning()
    stopping: StoppingTuning = StoppingTuning()
    descent: DescentTuning = DescentTuning()

    def __post_init__(self) -> None:
        for part in (self.noise, self.goal, self.stopping, self.descent):
            _check(part)
        if not self.descent.first_tightness < len(self.descent.tightness):
            raise ValueError(
                f"DescentTuning.first_tightness is {self.descent.first_tightness}, but there are "
                f"{len(self.descent.tightness)} values of tightness."
            )


DEFAULT = AutoTuning()
