"""The candidates of a search over calibration settings, from what ``calibrate`` found.

Method, sample count, and which inputs of whole numbers are kept as they are. Two candidates with equal ranges are the
same model: only the one that wins a tie, which comes first, is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from search.errors import InvalidDataError
from search.evaluation.configuration import Calibration
from search.quant.observers.registry import METHODS
from search.strategies.auto.one_precision import has_one_precision
from search.strategies.shared.setting import Size
from search.study.items import methods_by_bits
from search.tasks import Answer
from search.work.kinds.calibrate import Calibrated, WholeInput, ranges_of
from search.work.problem import Problem

MAX_FREE_INPUTS = 2
"""Up to so many inputs are switched one by one, more of them all together."""


@dataclass(frozen=True)
class Candidate:
    """One calibration setting.

    Attributes:
        calibration: Scales.
        inputs: Inputs kept as whole numbers.
        why_not: Why it is not evaluated; empty if it is.
    """

    calibration: Calibration
    inputs: tuple[str, ...]
    why_not: str = ""


def calibrations(problem: Problem, calibrate: Answer[Calibrated]) -> tuple[Calibration, ...]:
    """What is evaluated, in the order of the trials; empty where the search is not over calibration settings.

    Raises:
        InvalidDataError: If every method failed at every count.
    """
    found = candidates(problem, calibrate)
    left = tuple(candidate.calibration for candidate in found if not candidate.why_not)
    if found and not left:
        methods = ", ".join(methods_by_bits(problem, 8))
        raise InvalidDataError(
            f"Every calibration method failed ({methods}); see calibration.overrides to fix ranges by hand."
        )
    return left


def candidates(problem: Problem, calibrate: Answer[Calibrated]) -> tuple[Candidate, ...]:
    """Every candidate: fewer samples first, then the simpler method, then whole numbers kept before quantized."""
    is_searched = has_one_precision(problem.target) and bool(calibrate.value.sizes)
    return tuple(_all(problem, calibrate)) if is_searched else ()


def sizes(problem: Problem, calibrate: Answer[Calibrated]) -> tuple[Size, ...]:
    """Sample counts to choose among where precisions are searched, too; empty where only one was calibrated."""
    if has_one_precision(problem.target):
        return ()
    allowed = methods_by_bits(problem, 8)
    return tuple(
        Size(
            samples=size.samples,
            blob=calibrate.blobs[ranges_of(size.samples)],
            methods=tuple(method for method in allowed if size.methods.get(method) is not None),
        )
        for size in calibrate.value.sizes
    )


def _all(problem: Problem, calibrate: Answer[Calibrated]) -> Iterator[Candidate]:
    order = list(METHODS)
    methods = sorted(methods_by_bits(problem, 8), key=order.index)
    seen: dict[str, str] = {}
    for size in calibrate.value.sizes:
        for method in methods:
            digest, told = size.methods[method], f"{method} with {size.samples} samples"
            why_not = "the method has no range for some tensor"
            if digest is not None:
                first = seen.setdefault(digest, told)
                why_not = "" if first == told else f"same ranges as {first}"
            yield from _with_inputs(problem, calibrate, method, size.samples, why_not)


def _with_inputs(
    problem: Problem, calibrate: Answer[Calibrated], method: str, samples: int, why_not: str
) -> Iterator[Candidate]:
    for chosen in _choices(calibrate.value.whole_inputs):
        calibration = Calibration(
            blob=calibrate.blobs[ranges_of(samples)],
            method_8=method,
            method_16=methods_by_bits(problem, 16)[0],
            samples=samples,
            exact=tuple(sorted(tensor for one in chosen for tensor in one.tensors)),
        )
        yield Candidate(calibration, tuple(one.name for one in chosen), why_not)


def _choices(inputs: Sequence[WholeInput]) -> Iterator[Sequence[WholeInput]]:
    """Which inputs are kept as whole numbers: all of them first, none of them last."""
    if len(inputs) <= MAX_FREE_INPUTS:
        for kept in product((True, False), repeat=len(inputs)):
            yield [one for one, keep in zip(inputs, kept, strict=True) if keep]
    else:
        yield inputs
        yield ()
