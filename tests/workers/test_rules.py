"""What holds for the package itself: what it imports, and what a workflow's body is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from search import errors
from search.work.kinds.registry import KINDS
from service.web.study_page import PHASES
from workers import durable
from workers.derived import DELIVER, phase_of
from workers.failures import HINTS, Reported, StudyFailedError, failure_of
from workers.problem import study_problem

BODIES = {"engine-2": "1716c29bac00aa3796a1c95cae35d73a0603d75636fd3e7450310b3ebad0d734"}


def test_a_changed_workflow_body_needs_a_new_version():
    assert BODIES[durable.VERSION] == durable.bodies_digest(), (
        "The body of a workflow has changed. Studies under way would be replayed with another body: raise "
        "workers.durable.VERSION and add its digest here."
    )


def imported(module, *wanted):
    code = f"import sys, {module}; print([name for name in {wanted!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_workers_know_no_web_stack():
    assert imported("workers.main", "fastapi", "starlette", "uvicorn") == "[]"


def test_an_evaluator_knows_no_database_and_no_web_stack():
    assert imported("workers.evaluator.serving", "sqlalchemy", "dbos", "psycopg", "fastapi") == "[]"


def test_the_side_that_submits_parses_no_model():
    assert imported("workers.engine", "onnx", "onnxruntime", "onnx_ir", "fastapi") == "[]"


def test_what_a_hostile_evaluator_reports_is_not_believed():
    for value in (None, [], {"code": "nonsense"}, {"code": "invalid-model", "blame": "you"}):
        assert Reported(value).failure().code == "internal-error"
    failure = Reported({"code": "invalid-model", "blame": "user", "message": "x" * 10_000 + "\0\ud800"}).failure()
    assert len(failure.to_json()["message"]) == 4000


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a\\b", "a\0b", ""])
def test_no_path_of_a_row_leads_out_of_its_folder(path):
    stored = {"inputs": {"model": {"kind": "file", "digest": "0" * 64, "files": {path: "0" * 64}}}}
    with pytest.raises(StudyFailedError, match="not allowed"):
        study_problem({}, stored, {}, lambda digest: b"")


def test_every_error_of_the_core_has_a_code_with_a_way_out():
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.SearchError)]
    for kind in kinds:
        failure = failure_of(kind("text"))
        assert failure.code in HINTS
        assert failure.to_json() == {
            "code": failure.code,
            "blame": failure.blame,
            "message": "text",
            "hint": HINTS[failure.code],
        }


def test_every_kind_of_work_has_a_phase_of_the_study():
    assert {phase_of(kind) for kind in [*KINDS, DELIVER]} == set(PHASES)
    assert phase_of("a kind of a later version") == "a kind of a later version"
