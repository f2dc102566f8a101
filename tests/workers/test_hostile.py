"""Every hostile model and data set, sent over REST, is refused or ends as a failed study with a named cause.

Behind each of them a harmless study waits: it succeeds, on the same worker and the same server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.client.errors import ApiError
from service.contract import Study
from tests.service.cli.served import Served, served
from tests.study.small import Files
from tests.workers.hostile import DIED, Attack, Content, bytes_of
from tests.workers.hostile_data import data_sets
from tests.workers.hostile_models import FORMULA, MARKUP, models
from tests.workers.installation import Installation
from workers.problem import study_problem

pytestmark = pytest.mark.slow
TOP1 = [{"metric": "top1", "max_drop": 0.01}]
ATTACKS = [*models(), *data_sets()]
BY_NAME = {attack.name: attack for attack in ATTACKS}
NUMBERS = {*(f"M{n}" for n in range(1, 21)), *(f"D{n}" for n in range(1, 11))}
SETTINGS = {
    "BITBUDGET_EVALUATOR_WALL_S": "20",
    "BITBUDGET_EVALUATOR_CPU_S": "6",
    "BITBUDGET_EVALUATOR_MEMORY_BYTES": str(4 * 2**30),
    "BITBUDGET_MAX_QUEUED_STUDIES": "1000",
}
WAIT_S = 400.0


@dataclass
class Fight:
    """A server under attack.

    Attributes:
        server: It.
        client: Asks it.
        worker: Process id of its worker before the first attack.
        studies: Study of each attack by name, None if there is none.
        refusals: What the server said to the others.
        good: The harmless study behind each attack.
    """

    server: Served
    client: Client
    worker: int
    studies: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, ApiError] = field(default_factory=dict)
    good: dict[str, str] = field(default_factory=dict)

    def send(self, attack: Attack, small: Files, folder: Path) -> str:
        """Upload everything and submit."""

        def put(data: Content) -> str:
            path = folder / "upload"
            path.write_bytes(bytes_of(data))
            return self.client.blobs.put(path)

        def listed(files: Any) -> dict[str, str]:
            return {path: put(data).removeprefix("sha256:") for path, data in files.items()}

        model = self.client.blobs.put(small.model) if attack.model is None else put(attack.model)
        if attack.external:
            made = self.client.models.create(digest=model.removeprefix("sha256:"), files=listed(attack.external))
            model = f"models/{made.id}"
        evaluation = self.client.blobs.put(small.evaluation) if attack.evaluation is None else put(attack.evaluation)
        if attack.files is not None:
            evaluation = f"datasets/{self.client.datasets.create(files=listed(attack.files)).id}"
        data = {"calibration": self.client.blobs.put(small.calibration), "evaluation": evaluation}
        rest = {key: value for key, value in attack.spec.items() if key != "data"}
        spec = {
            "model": model,
            "data": {**data, **attack.spec.get("data", {})},
            "target": {"name": "j6m"},
            "goal": TOP1,
        }
        return self.client.studies.submit({**spec, **rest}).id

    def harmless(self, small: Files) -> str:
        """A study of less than a second."""
        spec = {"model": self.client.blobs.put(small.model), "data": {"calibration": "random"}}
        return self.client.studies.submit({**spec, "target": {"name": "j6m"}}).id


@pytest.fixture(scope="module")
def fought(small: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fight]:
    """All attacks put in line, each with a harmless study behind it, on one worker."""
    folder = tmp_path_factory.mktemp("hostile")
    with served(folder / "server", "--slots", "2", **SETTINGS) as server, server.client() as client:
        fight = Fight(server, client, worker_of(client))
        for attack in ATTACKS:
            try:
                fight.studies[attack.name] = fight.send(attack, small, folder)
            except ApiError as error:
                fight.refusals[attack.name] = error
            fight.good[attack.name] = fight.harmless(small)
        yield fight


def worker_of(client: Client) -> int:
    """Process id of the only worker, once it is there."""
    while not (found := client.operator.workers()):
        pass
    (one,) = found
    return int(one.pid)


def test_every_case_is_there_by_its_number() -> None:
    named = {number for attack in ATTACKS for number in re.findall(r"\b[MD]\d+\b", attack.name)}
    assert named == NUMBERS
    assert len(BY_NAME) == len(ATTACKS)


@pytest.mark.parametrize("name", BY_NAME)
def test_an_attack_is_answered_with_a_named_cause_and_the_next_study_succeeds(fought: Fight, name: str) -> None:
    attack = BY_NAME[name]
    if attack.refused is not None:
        refusal = fought.refusals[name]
        assert (refusal.status, refusal.code) == (422, attack.refused)
        assert refusal.pointers
    else:
        check_end(fought, attack, fought.client.studies.wait(fought.studies[name], timeout_s=WAIT_S))
    assert fought.client.studies.wait(fought.good[name], timeout_s=WAIT_S).state == "succeeded"
    assert worker_of(fought.client) == fought.worker
    assert fought.server.process is not None
    assert fought.server.process.poll() is None


def check_end(fought: Fight, attack: Attack, study: Study) -> None:
    if not attack.codes:
        assert (study.state, study.error) == ("succeeded", None)
        return
    assert study.state == "failed", study
    assert study.error is not None
    assert study.error.code in attack.codes, study.error
    assert study.error.blame == attack.blames(study.error.code)
    assert study.error.hint
    assert attack.words in study.error.message
    assert str(fought.server.folder) not in study.error.message
    assert "/tmp" not in study.error.message
    assert study.attempts == (3 if attack.codes == DIED else 0)


def test_names_are_data_in_everything_that_is_delivered(fought: Fight, tmp_path: Path) -> None:
    study = fought.studies["M14 markup and formulas in every name"]
    fought.client.studies.wait(study, timeout_s=WAIT_S)
    files = fought.client.studies.download(study, tmp_path)
    report = (tmp_path / "report.html").read_text()
    assert MARKUP not in report
    assert "alert(1)" in report
    tables = [path for path in files if path.suffix == ".csv"]
    assert len(tables) >= 3
    for path in tables:
        cells = [cell for line in path.read_text().splitlines() for cell in line.split(",")]
        assert not [cell for cell in cells if cell.strip('"').startswith("=")], path.name
    assert any(FORMULA in path.read_text() for path in tables)


def test_no_name_writes_lines_or_control_characters_into_the_log(fought: Fight) -> None:
    for name in ("M14 a line of the log", "M14 control characters"):
        fought.client.studies.wait(fought.studies[name], timeout_s=WAIT_S)
    lines = fought.server.log.splitlines()
    assert not [line for line in lines if "\x1b" in line or line.startswith("2026-01-01")]


ESCAPES = [one for one in ATTACKS if one.files and one.refused and "case" not in one.name]


@pytest.mark.parametrize("attack", ESCAPES, ids=lambda one: one.name)
def test_what_the_server_refuses_workers_refuse_too(service: Installation, small: Files, attack: Attack) -> None:
    """Whoever can write rows cannot make a worker write beside its folder."""
    files = dict.fromkeys(attack.files or (), "0" * 64)
    inputs = {"data.evaluation": {"kind": "directory", "files": files, "size": 0}}
    study = service.submit(small, inputs=inputs, goal=TOP1)
    service.start()
    row = service.wait(study, WAIT_S)
    assert (row.state, (row.error or {})["code"]) == ("failed", "invalid-spec")


def test_too_many_files_of_one_input_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
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
