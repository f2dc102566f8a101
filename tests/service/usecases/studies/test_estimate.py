"""What a dry run expects, from rows that earlier studies left, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from search.spec.load import build_job
from service.store.db import artifacts, studies
from service.store.db.engine import Database
from service.usecases.accounts.principal import Principal
from service.usecases.studies.estimate import REPORT_BYTES, Estimate, Range, estimate
from service.usecases.studies.inputs import Inputs
from tests.service.store.db.rows import blob, digest, study, tenant

MODEL, DATA = 1000, 500


def inputs(model: str = "net", data: int = DATA, **more: Any) -> dict[str, Any]:
    return {
        "model": {"kind": "file", "digest": digest(model), "size": MODEL, **more},
        "data.evaluation": {"kind": "file", "digest": digest("data"), "size": data},
    }


def finished(database: Database, given: dict[str, Any], *, seconds: float, evaluations: int, files: int = 0) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        made = study(connection, mine, problem={"inputs": given})
        studies.transition(connection, made.id, expect={"queued"}, to="running")
        if files:
            found = blob(connection, mine, "x" * files)
            artifacts.put(
                connection, study_id=made.id, tenant_id=mine, name="a", digest=found, size=files, media_type="text/csv"
            )
        changes = {"seconds": seconds, "outcome": "met", "result": {"search": {"evaluations": evaluations}}}
        studies.transition(connection, made.id, expect={"running"}, to="succeeded", changes=changes)


def expected(database: Database, given: dict[str, Any], **search: Any) -> Estimate:
    text = f"sha256:{'0' * 64}"
    spec = build_job(
        {
            "schema": "bitbudget.job/1",
            "model": text,
            "data": {"calibration": text, "evaluation": text},
            "target": {"name": "j6m"},
            "search": search,
        }
    )
    with database.writing() as connection:
        mine = tenant(connection)
    principal = Principal(tenant_id=mine, actor="me", key_id=None, scopes=frozenset({"read"}))
    with database.reading() as connection:
        return estimate(connection, principal, spec, Inputs(given, ()))


def test_where_nothing_is_known_there_are_bounds_and_no_time(database: Database) -> None:
    found = expected(database, inputs(), max_evaluations=9)
    assert (found.basis, found.n_studies, found.evaluations, found.seconds) == ("bounds", 0, Range(2, 9), None)
    assert found.output_bytes == Range(REPORT_BYTES[0] + MODEL, REPORT_BYTES[1] + 4 * MODEL)
    assert found.input_bytes == MODEL + DATA


def test_earlier_studies_of_the_model_are_scaled_by_the_data(database: Database) -> None:
    finished(database, inputs(), seconds=10, evaluations=7, files=300)
    finished(database, inputs(data=2 * DATA), seconds=30, evaluations=11, files=200)
    finished(database, inputs("other"), seconds=9999, evaluations=1)
    found = expected(database, inputs(data=2 * DATA))
    assert (found.basis, found.n_studies, found.evaluations) == ("earlier", 2, Range(7, 11))
    assert found.seconds == Range(20, 30)
    assert found.output_bytes == Range(200, 300)
    assert expected(database, inputs(data=2 * DATA), max_seconds=25.0).seconds == Range(20, 25)


def test_studies_of_other_models_give_a_wide_range(database: Database) -> None:
    finished(database, inputs("other"), seconds=40, evaluations=4)
    found = expected(database, inputs(data=2 * DATA), max_evaluations=10)
    assert (found.basis, found.n_studies, found.evaluations) == ("similar", 1, Range(2, 10))
    assert found.seconds is not None
    assert found.seconds.low == pytest.approx(10 * 2 * 2 / 2)  # 10 s a trial, twice the data, 2 trials, half
    assert found.seconds.high == pytest.approx(10 * 2 * 10 * 2)


def test_a_model_behind_a_connection_has_no_size(database: Database) -> None:
    finished(database, inputs("other"), seconds=40, evaluations=4)
    behind = {**inputs(), "model": {"kind": "connection", "name": "lab", "path": "net.onnx"}}
    found = expected(database, behind)
    assert (found.basis, found.seconds, found.output_bytes) == ("bounds", None, None)
