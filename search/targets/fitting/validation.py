"""How wrong a fit is about measurements it did not see.

Every measurement is left out once, a fifth at a time, and predicted from a fit to the others; then whole models are
left out. ``MAPE`` is the mean of ``|predicted / measured - 1|``; Kendall's tau is taken per model and averaged, since
models of different size order themselves. Intervals are 95 % percentile bootstrap over measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from search.targets.fitting.fit import fit_rates, predict
from search.targets.fitting.measured import Measured
from search.targets.fitting.rates import with_rates
from search.targets.settings import Fit
from search.targets.target import Target

FOLDS = 5
RESAMPLES = 1000
MIN_RANKED = 3  # measurements of a model below which an order means nothing

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Validation:
    """Predictions of measurements that were left out.

    Attributes:
        models: Model of each measurement, shape ``[n]``.
        measured: Microseconds, shape ``[n]``.
        left_out: Predicted while a fifth was left out, shape ``[n]``.
        other_models: Predicted while its whole model was left out, shape ``[n]``; None with one model.
    """

    models: Labels
    measured: Array
    left_out: Array
    other_models: Array | None


def validate(target: Target, measured: Sequence[Measured], *, seed: int) -> Validation:
    """Predict every measurement from fits that did not see it.

    Args:
        target: Where the fits start.
        measured: Distinct measurements, at least ``FOLDS``.
        seed: Of the cut into folds.
    """
    models = np.array([one.model for one in measured], dtype=np.str_)
    folds = np.random.default_rng(seed).permutation(len(measured)) % FOLDS
    several = len(set(models.tolist())) > 1
    return Validation(
        models=models,
        measured=np.array([one.microseconds for one in measured], dtype=np.float64),
        left_out=_predict_left_out(target, measured, folds.astype(np.str_)),
        other_models=_predict_left_out(target, measured, models) if several else None,
    )


def summary(validation: Validation, *, seed: int, measured_on: str) -> Fit:
    """Return the evidence that is written into a fitted target."""
    errors = relative_errors(validation.left_out, validation.measured)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(errors), (RESAMPLES, len(errors)))
    ranked = np.array([mean_tau(validation, pick) for pick in picks])
    tau = mean_tau(validation, np.arange(len(errors)))
    others = validation.other_models
    return Fit(
        measurements=len(errors),
        models=len(set(validation.models.tolist())),
        mape=_short(errors.mean()),
        mape_interval=_interval(errors[picks].mean(axis=1)),
        kendall_tau=_short(tau),
        kendall_tau_interval=_interval(ranked),
        error_90=_short(np.quantile(errors, 0.9)),
        mape_other_models=None if others is None else _short(relative_errors(others, validation.measured).mean()),
        measured_on=measured_on,
    )


def relative_errors(predicted: Array, measured: Array) -> Array:
    """Return ``|predicted / measured - 1|``."""
    return np.abs(predicted / measured - 1.0)


def mean_tau(validation: Validation, pick: npt.NDArray[np.int64]) -> float:
    """Return the mean over models of Kendall's tau among the picked measurements; 0 where none has an order."""
    found = []
    models = validation.models[pick]
    for model in dict.fromkeys(models.tolist()):
        of_model = pick[models == model]
        times = validation.measured[of_model]
        if len(np.unique(times)) >= MIN_RANKED:
            found.append(float(scipy.stats.kendalltau(validation.left_out[of_model], times).statistic))
    finite = [tau for tau in found if np.isfinite(tau)]
    return float(np.mean(finite)) if finite else 0.0


def _predict_left_out(target: Target, measured: Sequence[Measured], parts: Labels) -> Array:
    predicted = np.zeros(len(measured))
    for part in dict.fromkeys(parts.tolist()):
        out = parts == part
        kept = [one for one, left in zip(measured, out, strict=True) if not left]
        fitted = with_rates(target, fit_rates(target, kept))
        predicted[out] = predict(fitted, [one for one, left in zip(measured, out, strict=True) if left])
    return predicted


def _interval(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return _short(low), _short(high)


def _short(value: float | np.floating) -> float:
    return round(float(value), 4)
