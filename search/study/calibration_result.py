"""``calibration`` of ``result.json``: what was used, in which order samples were taken, and what it was chosen from."""

from __future__ import annotations

from dataclasses import asdict

from search.canonical import Json
from search.evaluation.configuration import Calibration
from search.study.calibrations import Candidate, candidates
from search.study.plan import Finished
from search.tasks import Answer
from search.work.kinds.calibrate import Calibrated
from search.work.problem import Problem


def calibration_result(problem: Problem, finished: Finished) -> dict[str, Json]:
    """Return the entry; its lists are empty and its values null where the study stopped before."""
    used, calibrate = _used(finished), finished.results.calibrate
    found = () if calibrate is None else candidates(problem, calibrate)
    return {
        "method_8": None if used is None else used.method_8,
        "method_8_other": None if used is None else used.method_other or used.method_8,
        "method_16": None if used is None else used.method_16,
        "samples": None if used is None else used.samples,
        "order": _order(problem, calibrate),
        "exact_inputs": [] if used is None else list(exact_inputs(found, used)),
        "compared": [asdict(row) for row in finished.comparison],
        "candidates": [_row(finished, candidate) for candidate in found],
    }


def exact_inputs(found: tuple[Candidate, ...], used: Calibration) -> tuple[str, ...]:
    """Inputs that the search keeps as whole numbers in the calibration ``used``."""
    return next((candidate.inputs for candidate in found if candidate.calibration == used), ())


def _used(finished: Finished) -> Calibration | None:
    if finished.chosen is not None:
        return finished.chosen.configuration.calibration
    return None if finished.session is None else finished.session.setting.calibration


def _order(problem: Problem, calibrate: Answer[Calibrated] | None) -> dict[str, Json]:
    """How calibration samples were taken: as they lie in the file, or in the order that the seed gives."""
    seeded = calibrate is not None and bool(calibrate.value.sizes)
    return {"kind": "seeded" if seeded else "stored", "seed": problem.spec.search.seed if seeded else None}


def _row(finished: Finished, candidate: Candidate) -> dict[str, Json]:
    trials = () if finished.session is None else finished.session.trials
    number = next((t.number for t in trials if t.configuration.calibration == candidate.calibration), None)
    return {
        "method": candidate.calibration.method_8,
        "samples": candidate.calibration.samples,
        "exact_inputs": list(candidate.inputs),
        "trial": number,
        "why_not": candidate.why_not or ("" if number is not None else "the search stopped before"),
    }
