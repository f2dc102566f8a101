"""What a study may cost, said before it is queued: an estimate from earlier studies, and it says from which.

    earlier   studies of the same model on the same chip; their time scaled by the size of the evaluation data
    similar   studies of other models on the same chip: time per trial and (byte of model * byte of data), twice as wide
    bounds    nothing to compare with: what the strategy allows, no time

No model is opened for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from search.spec.job import JobSpec
from service.store.db import blobs, studies
from service.store.db.studies import Study, StudyFilter
from service.usecases.accounts.principal import Principal
from service.usecases.studies.inputs import Inputs

LOOKED_THROUGH = 50
FEWEST, MOST = 2, 200
"""Trials of a search where nothing is known: both bounds, and more than any search of the test cases took."""
WIDER = 2.0
REPORT_BYTES = (2**20, 2**26)
MODEL_COPIES = (1, 4)
"""Files of a study where nothing is known: a report and its arrays, and so many copies of the model."""


@dataclass(frozen=True)
class Range:
    """Between which values a number is expected."""

    low: float
    high: float

    def at_most(self, limit: float | None) -> Range:
        """Return the range cut off at a limit; None = no limit."""
        return self if limit is None else Range(min(self.low, limit), min(self.high, limit))


@dataclass(frozen=True)
class Estimate:
    """What is expected.

    Attributes:
        basis: ``earlier | similar | bounds``: what it was derived from.
        n_studies: Number of those studies.
        evaluations: Trials on evaluation samples.
        seconds: Search time; None where nothing is known.
        input_bytes: Bytes of the inputs that the server holds.
        output_bytes: Bytes that will be stored; None if the model lies behind a connection and is not known.
        waiting: Studies of the tenant that have not ended.
    """

    basis: str
    n_studies: int
    evaluations: Range
    seconds: Range | None
    input_bytes: int
    output_bytes: Range | None
    waiting: int


def estimate(connection: Connection, principal: Principal, spec: JobSpec, inputs: Inputs) -> Estimate:
    """Return what a study with this spec is expected to take."""
    known = _known(connection, principal, spec)
    model = inputs.by_key["model"].get("digest")
    earlier = [one for one in known if model is not None and _input(one, "model").get("digest") == model]
    evaluations = _evaluations(spec, earlier)
    seconds = _scaled(earlier, inputs.by_key) if earlier else _compared(known, inputs.by_key, evaluations)
    basis = "earlier" if earlier else "similar" if seconds is not None else "bounds"
    return Estimate(
        basis=basis,
        n_studies=len(earlier) or (len(known) if basis == "similar" else 0),
        evaluations=evaluations,
        seconds=None if seconds is None else seconds.at_most(spec.search.max_seconds),
        input_bytes=inputs.n_bytes,
        output_bytes=_output(connection, earlier, inputs),
        waiting=studies.n_open(connection, principal.tenant_id),
    )


def _known(connection: Connection, principal: Principal, spec: JobSpec) -> list[Study]:
    """Studies on this chip that went to their end by themselves."""
    wanted = StudyFilter(states=("succeeded",), target=spec.target.name)
    lines = studies.page(connection, principal.tenant_id, wanted, limit=LOOKED_THROUGH).rows
    found = (studies.get(connection, principal.tenant_id, line.id) for line in lines if line.stopped is None)
    return [one for one in found if one is not None]


def _evaluations(spec: JobSpec, earlier: Iterable[Study]) -> Range:
    if spec.data.is_random and spec.data.evaluation is None:
        return Range(0.0, 0.0)
    counts = [float(n) for one in earlier if (n := _count(one)) is not None]
    found = Range(min(counts), max(counts)) if counts else Range(float(FEWEST), float(MOST))
    return found.at_most(None if spec.search.max_evaluations is None else float(spec.search.max_evaluations))


def _scaled(earlier: Iterable[Study], inputs: Mapping[str, Mapping[str, Any]]) -> Range:
    """Their seconds, as if they had had this evaluation data."""
    here = _size(inputs.get("data.evaluation", {}))
    found = []
    for one in earlier:
        there = _size(_input(one, "data.evaluation"))
        found.append(one.seconds * (here / there if here and there else 1.0))
    return Range(min(found), max(found))


def _compared(known: Iterable[Study], inputs: Mapping[str, Mapping[str, Any]], evaluations: Range) -> Range | None:
    """Seconds from studies of other models; None if there are none, or sizes are not known."""
    here = _size(inputs["model"]) * _size(inputs.get("data.evaluation", {}))
    rates = []
    for one in known:
        there = _size(_input(one, "model")) * _size(_input(one, "data.evaluation"))
        if there and (count := _count(one)):
            rates.append(one.seconds / count / there)
    if not rates or not here:
        return None
    return Range(
        min(rates) * here * evaluations.low / WIDER,
        max(rates) * here * evaluations.high * WIDER,
    )


def _output(connection: Connection, earlier: Iterable[Study], inputs: Inputs) -> Range | None:
    stored = [float(n) for one in earlier if (n := blobs.made_by(connection, one.id))]
    if stored:
        return Range(min(stored), max(stored))
    model = _size(inputs.by_key["model"])
    if not model:
        return None
    low, high = (float(own + copies * model) for own, copies in zip(REPORT_BYTES, MODEL_COPIES, strict=True))
    return Range(low, high)


def _input(study: Study, key: str) -> Mapping[str, Any]:
    found = (study.problem or {}).get("inputs", {}).get(key, {})
    return found if isinstance(found, dict) else {}


def _size(value: Mapping[str, Any]) -> int:
    return int(value.get("size", 0))


def _count(study: Study) -> int | None:
    found = (study.result or {}).get("search", {}).get("evaluations")
    return found if isinstance(found, int) else None
