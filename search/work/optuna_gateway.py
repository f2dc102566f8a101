"""The one place that knows optuna: which parameters to try next, given what earlier ones gave.

A proposal is a function of its arguments, so it can be stored, and a study that was interrupted goes on as if nothing
had happened. A sampler that is seeded anew and fed with ``add_trial`` would draw other numbers than the one that went
through all asks itself, hence:

- ``tpe``: a sampler of its own for every ask, seeded from (seed, number), told the whole history with ``add_trial``.
- ``nsga2``: generations depend on the sampler's own past, so all asks are replayed from the first one on, and what they
  give must equal the history.

Only optuna's in-memory storage is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from search.errors import InvalidDataError
from search.optional import OptionalModule, load_optional

if TYPE_CHECKING:  # an extra: loaded once the strategy is asked for
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial
else:
    optuna = OptionalModule("optuna", extra="optuna")

POPULATION = 16
Sampler = Literal["tpe", "nsga2"]
Values = Mapping[str, str | int | float]
"""Parameters by name."""


@dataclass(frozen=True)
class Dimension:
    """One parameter.

    Attributes:
        name: Its name.
        low: Smallest value; None for a choice.
        high: Largest value.
        whole: Whether it is a whole number.
        choices: What there is to choose from.
    """

    name: str
    low: float | None = None
    high: float = 1.0
    whole: bool = False
    choices: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Told:
    """What an ask led to.

    Attributes:
        values: The parameters.
        cost: Cost index.
        shortfall: How far the goals were missed, relative; 0 if met. Of the samples seen, if rejected early.
        samples: Samples seen if it was rejected early, else None.
        given: Whether the parameters were given from outside rather than proposed.
        turn: Asks of one turn were made before any of them was told.
    """

    values: Values
    cost: float
    shortfall: float
    samples: int | None = None
    given: bool = False
    turn: int = 0


def version() -> str:
    """Return the version of optuna.

    Raises:
        UsageError: If it is not installed.
    """
    load_optional("optuna", extra="optuna")
    return metadata.version("optuna")


def propose(
    sampler: Sampler,
    *,
    seed: int,
    space: Sequence[Dimension],
    history: Sequence[Told],
    number: int,
    worst: float,
) -> Values:
    """Return the parameters of ask ``number``.

    Args:
        sampler: Which sampler.
        seed: Seed of the study.
        space: Parameters.
        history: What the first asks led to, in their order.
        number: From 0; beyond ``len(history)`` where several are asked before any of them is told.
        worst: A cost that no assignment exceeds.

    Raises:
        InvalidDataError: If the history is not what the sampler proposed.
    """
    ranges = {one.name: _distribution(one) for one in space}
    study = _study(sampler, seed, number)
    if sampler == "tpe":
        for told in history:
            study.add_trial(_frozen(told, ranges, worst))
        return dict(study.ask(ranges).params)
    for _, turn in groupby(history, key=lambda told: told.turn):
        _replay(study, tuple(turn), ranges)
    for _ in range(len(history), number):
        study.ask(ranges)
    return dict(study.ask(ranges).params)


def _study(sampler: Sampler, seed: int, number: int) -> optuna.Study:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if sampler == "tpe":
            own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=own))
        first = int(np.random.SeedSequence([seed]).generate_state(1)[0])
        nsga2 = optuna.samplers.NSGAIISampler(seed=first, population_size=POPULATION)
        return optuna.create_study(directions=["minimize", "minimize"], sampler=nsga2)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _distribution(one: Dimension) -> BaseDistribution:
    if one.low is None:
        return optuna.distributions.CategoricalDistribution(one.choices)
    if one.whole:
        return optuna.distributions.IntDistribution(int(one.low), int(one.high))
    return optuna.distributions.FloatDistribution(one.low, one.high)


def _frozen(told: Told, ranges: Mapping[str, BaseDistribution], worst: float) -> FrozenTrial:
    """One number for TPE: the cost if the goals are met, else something above every cost."""
    score = told.cost if not told.shortfall else worst + 1.0 + told.shortfall
    shared: dict[str, Any] = {"params": dict(told.values), "distributions": dict(ranges)}
    if told.samples is None:
        return optuna.create_trial(state=optuna.trial.TrialState.COMPLETE, value=score, **shared)
    return optuna.create_trial(
        state=optuna.trial.TrialState.PRUNED, intermediate_values={told.samples: score}, **shared
    )


def _replay(study: optuna.Study, turn: Sequence[Told], ranges: Mapping[str, BaseDistribution]) -> None:
    """Ask for everything of one turn, check what comes, then tell it."""
    for told in turn:
        if told.given:
            study.enqueue_trial(dict(told.values))
    trials = [study.ask(dict(ranges)) for _ in turn]
    for trial, told in zip(trials, turn, strict=True):
        if trial.params != dict(told.values):
            raise InvalidDataError(
                f"Ask {trial.number} of the stored search has {dict(told.values)}, but optuna {version()} now gives "
                f"{trial.params}. The results were made by another version: start over with --force."
            )
        study.tell(trial, [told.cost, told.shortfall])
