"""Coefficients that explain measured times best, never negative, and near what was known where data say nothing.

Minimise over ``c >= 0.1 p``: ``sum_i ((sum_j work_ij c_j) / t_i - 1)**2 + PULL**2 sum_j ((c_j - p_j) / u_j)**2`` with
``c`` in seconds per unit of work, ``t`` measured times and ``p`` the target's own coefficients, all scaled by one
factor so that the median measurement is met. ``u_j`` is the larger of ``p_j`` and the ``c_j`` of the round before:
being off by ten costs the same upward as downward. The first sum is the relative error that is reported, the second
keeps a coefficient the data do not reach where the target had it, relative to the others.

A coefficient counts as measured if the data hold it more than the pull does: ``1 - PULL**2 (A'A + PULL**2)^-1_jj``
above one half, with ``A_ij = work_ij u_j / t_i``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy

from search.targets.fitting.measured import PER_RUN, Measured, Works
from search.targets.fitting.rates import Slowness, known_seconds, source_of, with_rates
from search.targets.target import Target

PULL = 0.05
FLOOR = 0.1  # of the former coefficient: a rate at most ten times as fast stays believable
RUN_SHARE = 0.02  # of the median time: where an empty run starts if the target does not know it
ROUNDS = 4  # which of compute and memory is longer follows from the rates, and the rates from it

Array = npt.NDArray[np.float64]


def fit_rates(target: Target, measured: Sequence[Measured]) -> dict[str, Slowness]:
    """Return the fitted coefficients by path, those that the measurements touch.

    Args:
        target: Where the fit starts.
        measured: At least one.

    Raises:
        ValueError: If an assignment is illegal on the target.
    """
    found: dict[str, Slowness] = {}
    current = target
    for _ in range(ROUNDS):
        works = Works(current)
        found = _solve(target, [works.of(one) for one in measured], _times(measured), found)
        current = with_rates(target, found)
    return found


def assumed_share(target: Target, measured: Sequence[Measured]) -> float:
    """Return the mean share of predicted times that rests on assumed coefficients, 0 to 1."""
    maker = Works(target)
    works = [maker.of(one) for one in measured]
    paths = {path for work in works for path in work}
    seconds = {path: known_seconds(target, path) or 0.0 for path in paths}
    assumed = {path for path in paths if source_of(target, path) == "assumed"}
    shares = [
        sum(work[path] * seconds[path] for path in work.keys() & assumed)
        / max(1e-30, sum(amount * seconds[path] for path, amount in work.items()))
        for work in works
    ]
    return float(np.mean(shares))


def predict(target: Target, measured: Sequence[Measured]) -> Array:
    """Return the microseconds of one run that the target's coefficients give, shape ``[n]``."""
    works = Works(target)
    seconds: dict[str, float] = {}
    totals = []
    for one in measured:
        work = works.of(one)
        for path in work.keys() - seconds.keys():
            seconds[path] = known_seconds(target, path) or 0.0
        totals.append(1e6 * sum(amount * seconds[path] for path, amount in work.items()))
    return np.array(totals, dtype=np.float64)


def _times(measured: Sequence[Measured]) -> Array:
    return np.array([one.microseconds for one in measured], dtype=np.float64) / 1e6


def _solve(
    target: Target, works: Sequence[Mapping[str, float]], times: Array, before: Mapping[str, Slowness]
) -> dict[str, Slowness]:
    paths = sorted({path for work in works for path in work})
    prior = _prior(target, paths, works, times)
    units = np.maximum(prior, [before[path].seconds if path in before else 0.0 for path in paths])
    amounts = np.array([[work.get(path, 0.0) for path in paths] for work in works], dtype=np.float64)
    scaled = amounts * units / times[:, None]
    n = len(paths)
    pulled = np.vstack([scaled, PULL * np.eye(n)])
    floor = FLOOR * prior / units
    goal = np.concatenate([np.ones(len(times)), PULL * prior / units])
    above, _ = scipy.optimize.nnls(pulled, goal - pulled @ floor)
    spread = np.linalg.inv(scaled.T @ scaled + PULL**2 * np.eye(n))
    held = 1.0 - PULL**2 * np.diag(spread)
    seconds = (floor + above) * units
    return {path: Slowness(float(seconds[j]), is_measured=bool(held[j] > 0.5)) for j, path in enumerate(paths)}


def _prior(target: Target, paths: Sequence[str], works: Sequence[Mapping[str, float]], times: Array) -> Array:
    """Former coefficients, scaled so that the median measurement is met."""
    known = {path: known_seconds(target, path) for path in paths}
    sums = np.array([sum(a * (known[path] or 0.0) for path, a in work.items()) for work in works])
    factor = float(np.median(times / np.maximum(sums, 1e-12)))
    missing = {path: RUN_SHARE * float(np.median(times)) if path == PER_RUN else 0.0 for path in paths}
    return np.array([factor * value if (value := known[path]) is not None else missing[path] for path in paths])
