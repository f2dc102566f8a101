"""``auto`` on a chip with one precision: which calibration gives the best metric.

All assignments cost the same there, so every candidate of calibration method, sample count and input quantization is
evaluated on the full set, and the best metric wins. Candidates come in the order that decides between equals: fewer
samples, the simpler method, then inputs of whole numbers kept as they are. A candidate the chip cannot run is a trial
like the others, and the search goes on. See docs/search.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.errors import UsageError
from search.evaluation.configuration import Calibration
from search.strategies.shared.goals import GoalState, total_shortfall
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.targets.legalise import uniform
from search.targets.target import Target
from search.tasks import Plan
from search.work import optuna_gateway

STRATEGY = "auto"
SIZE_DIVISORS = (16, 4, 1)


def has_one_precision(target: Target) -> bool:
    """Whether the uniform low and high requests of the chip are the same, so that no precision is left to choose."""
    return (target.all_low_gemm, target.all_low_other) == (target.all_high_gemm, target.all_high_other)


def check_strategy(strategy: str, target: Target) -> None:
    """Refuse a strategy that has nothing to do on this chip.

    Raises:
        UsageError: If a chip with one precision is to be searched for precisions, or the other way round, or the
            strategy's library is not installed.
    """
    if has_one_precision(target) and strategy != STRATEGY:
        raise UsageError(
            f"Strategy {strategy!r} moves between a low and a high precision, but {target.name} runs everything at "
            f"{target.all_low_gemm.value}. Use --strategy {STRATEGY}: it searches calibration settings instead."
        )
    if strategy == "optuna":
        optuna_gateway.version()


def sample_sizes(n_samples: int) -> tuple[int, ...]:
    """Calibration sample counts to try, ascending: a sixteenth, a quarter and all, as far as these differ."""
    return tuple(sorted({max(1, n_samples // divisor) for divisor in SIZE_DIVISORS}))


def one_precision(session: TrialSession) -> Plan[None]:
    """Evaluate every candidate of ``session.setting.calibrations`` in full."""
    setting = session.setting
    request = uniform(setting.network, setting.target, "low")
    for calibration in setting.calibrations:
        yield from session.evaluate(
            request,
            stage=f"{calibration.method_8}, {calibration.samples} samples",
            why=_inputs_in_words(session, calibration),
            calibration=calibration,
            full=True,
        )


def best_calibrated(trials: Sequence[Trial], goals: Sequence[GoalState]) -> Trial | None:
    """The best complete trial: it meets the goals or misses them by least, then has the best metric, then came first.

    Several goals count by their distance to the requirement, relative to it, added up.
    """
    complete = [trial for trial in trials if trial.is_complete]
    if not complete:
        return None
    return min(
        complete,
        key=lambda trial: (
            not trial.is_met,
            total_shortfall(trial.values, goals),
            -_distance_above(trial, goals),
            trial.number,
        ),
    )


def _distance_above(trial: Trial, goals: Sequence[GoalState]) -> float:
    """Sum over goals of how far the value lies on the good side of the requirement, relative to it."""
    total = 0.0
    for goal in goals:
        value = trial.values[goal.id]
        if value is None:
            return float("-inf")
        sign = 1.0 if goal.metric.direction == "higher" else -1.0
        total += sign * (value - goal.required) / max(abs(goal.required), 1e-12)
    return total


def _inputs_in_words(session: TrialSession, calibration: Calibration) -> str:
    tensors = sorted({t for one in session.setting.calibrations for t in one.exact})
    names = [session.setting.network.tensors[t].name for t in tensors]
    kept = [name for t, name in zip(tensors, names, strict=True) if t in calibration.exact]
    rounded = [name for name in names if name not in kept]
    told = [f"{', '.join(kept)} kept as whole numbers"] if kept else []
    return "; ".join([*told, *([f"{', '.join(rounded)} quantized"] if rounded else [])])
