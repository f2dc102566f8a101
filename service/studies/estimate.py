"""What a study may cost, said before it is queued: an estimate from earlier studies, and it says so.

No model is opened for it. Without an earlier study of the same model on the same chip only the bounds of the strategy
are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from search.spec.job import JobSpec
from service.accounts.principal import Principal
from service.db import studies
from service.db.studies import Study, StudyFilter
from service.studies.inputs import Inputs

LOOKED_THROUGH = 50
FEWEST, MOST = 2, 200
"""Trials of a search where nothing is known: both bounds, and more than any search of the test cases took."""


@dataclass(frozen=True)
class Range:
    """Between which values a number is expected."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What is expected.

    Attributes:
        basis: ``earlier`` studies of this model on this chip, or ``bounds`` of any study.
        n_studies: Number of earlier studies.
        evaluations: Trials on evaluation samples.
        seconds: Search time; None where nothing is known.
        input_bytes: Bytes of the inputs that the server holds.
        waiting: Studies of the tenant that have not ended.
    """

    basis: str
    n_studies: int
    evaluations: Range
    seconds: Range | None
    input_bytes: int
    waiting: int


def estimate(connection: Connection, principal: Principal, spec: JobSpec, inputs: Inputs) -> Estimate:
    """Return what a study with this spec is expected to take."""
    earlier = list(_earlier(connection, principal, spec, inputs))
    counts = [float(n) for study in earlier if (n := _evaluations(study)) is not None]
    most = float(spec.search.max_evaluations or MOST)
    if spec.data.is_random and spec.data.evaluation is None:
        evaluations = Range(0.0, 0.0)
    elif counts:
        evaluations = Range(min(*counts, most), min(max(counts), most))
    else:
        evaluations = Range(min(float(FEWEST), most), most)
    return Estimate(
        basis="earlier" if earlier else "bounds",
        n_studies=len(earlier),
        evaluations=evaluations,
        seconds=_seconds(earlier, spec.search.max_seconds),
        input_bytes=inputs.n_bytes,
        waiting=studies.n_open(connection, principal.tenant_id),
    )


def _seconds(earlier: list[Study], most: float | None) -> Range | None:
    seconds = [study.seconds for study in earlier]
    if not seconds:
        return None
    limit = float("inf") if most is None else most
    return Range(min(*seconds, limit), min(max(seconds), limit))


def _earlier(connection: Connection, principal: Principal, spec: JobSpec, inputs: Inputs) -> Iterator[Study]:
    wanted = StudyFilter(states=("succeeded",), target=spec.target.name)
    for line in studies.page(connection, principal.tenant_id, wanted, limit=LOOKED_THROUGH).rows:
        study = studies.get(connection, principal.tenant_id, line.id)
        if study is not None and study.stopped is None and _model(study) == inputs.by_key["model"].get("digest", ""):
            yield study


def _model(study: Study) -> str | None:
    found = (study.problem or {}).get("inputs", {}).get("model", {}).get("digest")
    return found if isinstance(found, str) else None


def _evaluations(study: Study) -> int | None:
    found = (study.result or {}).get("search", {}).get("evaluations")
    return found if isinstance(found, int) else None
