"""Every hostile model and data set ends as a failed study with a named cause, and the worker does the next study."""

from __future__ import annotations

import pytest

from service.storage import uploads
from tests.service.databases import new_url
from tests.study.small import Files
from tests.workers.hostile import LIMIT, attacks
from tests.workers.installation import installation
from workers.problem import study_problem

pytestmark = pytest.mark.slow
TOP1 = [{"metric": "top1", "max_drop": 0.01}]
ATTACKS = list(attacks())
SETTINGS = {"evaluator_wall_s": 12.0, "evaluator_cpu_s": 6.0, "evaluator_memory_bytes": 4 * 2**30}


@pytest.fixture(scope="module")
def fought(small, tmp_path_factory):
    """All attacks put in line at once, and a good study behind them, on one worker."""
    with new_url("sqlite") as url, installation(tmp_path_factory.mktemp("hostile"), url, **SETTINGS) as service:
        studies = {attack.name: submit(service, attack, small) for attack in ATTACKS}
        good = service.submit(small, goal=TOP1)
        worker = service.start(slots=2)
        yield service, studies, good, worker


def submit(service, attack, small):
    def put(data):
        digest = uploads.put(service.database, service.store, service.tenant, data)
        return {"kind": "file", "digest": digest, "size": len(data)}

    def listed(files):
        return {path: put(data)["digest"] for path, data in files.items()}

    inputs = {}
    if attack.model is not None:
        inputs["model"] = {**put(attack.model), "files": listed(attack.external)}
    if attack.evaluation is not None:
        inputs["data.evaluation"] = put(attack.evaluation)
    if attack.files is not None:
        inputs["data.evaluation"] = {"kind": "directory", "files": listed(attack.files), "size": 0}
    files = Files(small.model, small.calibration, small.evaluation)
    return service.submit(files, inputs=inputs, goal=TOP1, **attack.spec)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_a_failed_study_with_a_named_cause(fought, attack):
    service, studies, _, worker = fought
    row = service.wait(studies[attack.name], 300)
    assert row.state == "failed", row
    assert row.error["code"] in attack.codes, row.error
    assert row.error["blame"] == ("limit" if attack.codes == LIMIT else "user")
    assert attack.words in row.error["message"]
    assert str(service.folder) not in row.error["message"]
    assert "/tmp" not in row.error["message"]
    assert row.attempts == 0
    assert worker.process.poll() is None


def test_after_all_of_them_the_worker_does_the_next_study(fought):
    service, _, good, worker = fought
    assert service.wait(good, 300).state == "succeeded"
    assert worker.process.poll() is None
    assert len(service.workers) == 1


def test_too_many_files_of_one_input_are_refused(fought, small, monkeypatch):
    monkeypatch.setattr("workers.problem.MAX_FILES", 3)
    files = {f"x/{n}.npy": "0" * 64 for n in range(4)}
    stored = {
        "inputs": {
            "model": {"kind": "file", "digest": "0" * 64},
            "data.evaluation": {"kind": "directory", "files": files},
        }
    }
    with pytest.raises(Exception, match=r"data\.evaluation has 4 files; the limit is 3"):
        study_problem({}, stored, {}, lambda digest: b"")
