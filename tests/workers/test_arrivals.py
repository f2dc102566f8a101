"""Inputs behind connections: brought into the store before a study begins, on both databases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from service.store.blobs.store import BlobStore
from service.store.connections import fetching
from service.store.connections.errors import ConnectionDownError
from service.store.db import blobs, studies, tenants
from service.store.db.engine import Database, connect
from service.store.db.studies import Study
from service.store.settings import Settings
from tests.service.store.db.rows import study
from tests.study.small import Files
from tests.workers.installation import Installation, sha256
from workers import arrivals
from workers.arrivals import Arrivals
from workers.failures import StudyFailedError


@pytest.fixture
def opened(database_url: str) -> Iterator[Database]:
    found = connect(database_url)
    yield found
    found.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "set").mkdir(parents=True)
    (tmp_path / "root" / "net.onnx").write_bytes(b"model")
    (tmp_path / "root" / "set" / "x.npy").write_bytes(b"00")
    return tmp_path / "root"


def behind(path: str) -> dict[str, Any]:
    return {"kind": "connection", "name": "lab", "path": path}


class Desk:
    """A running study whose inputs lie behind a connection, and what brings them in."""

    def __init__(self, database: Database, root: Path, **settings: Any) -> None:
        self.database = database
        self.waits: list[float] = []
        chosen = {"data_dir": root.parent / "data", "connections": {"lab": {"kind": "local", "path": root}}, **settings}
        self.store = BlobStore(root.parent / "data" / "blobs")
        self.arrivals = Arrivals(Settings.model_validate(chosen), database, self.store, self.waits.append)

    def running(self, **inputs: Any) -> Study:
        with self.database.writing() as connection:
            tenant = tenants.ensure(connection, "acme").id
            made = study(connection, tenant, problem={"inputs": inputs, "environments": []})
            found = studies.transition(connection, made.id, expect={"queued"}, to="running")
        assert found is not None
        return found

    def refusal(self, row: Study) -> tuple[str, str, str]:
        with pytest.raises(StudyFailedError) as caught:
            self.arrivals.bring(row)
        return caught.value.code, caught.value.blame, caught.value.message


def test_inputs_become_blobs_that_the_study_needs(opened: Database, root: Path) -> None:
    desk = Desk(opened, root)
    row = desk.running(**{"model": behind("net.onnx"), "data.calibration": behind("set")})
    found = desk.arrivals.bring(row)
    assert found is not None
    assert found.problem is not None
    model, data = found.problem["inputs"]["model"], found.problem["inputs"]["data.calibration"]
    assert (model["kind"], model["source"]) == ("file", "connection://lab/net.onnx")
    assert desk.store.read(model["digest"]) == b"model"
    assert (data["kind"], data["size"]) == ("directory", 2)
    with opened.reading() as connection:
        assert blobs.needed_by(connection, row.id) == {model["digest"], *data["files"].values()}
        stored = studies.load(connection, row.id)
    assert stored is not None
    assert stored.problem == found.problem
    (root / "net.onnx").write_bytes(b"another")  # the study keeps what was there when it began
    assert desk.arrivals.bring(stored) == stored


def test_another_worker_that_was_faster_is_right(opened: Database, root: Path) -> None:
    desk = Desk(opened, root)
    row = desk.running(model=behind("net.onnx"))
    first = desk.arrivals.bring(row)
    (root / "net.onnx").write_bytes(b"another")
    second = desk.arrivals.bring(row)
    assert first is not None
    assert second is not None
    assert second.problem == first.problem


def test_a_study_that_is_not_wanted_any_more_is_left(
    opened: Database, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(opened, root)
    row = desk.running(model=behind("net.onnx"))
    with opened.writing() as connection:
        studies.transition(connection, row.id, expect={"running"}, to="paused")
    assert desk.arrivals.bring(row) is None
    monkeypatch.setattr(arrivals, "ASK_S", -1.0)  # asks between all chunks
    assert desk.arrivals.bring(row) is None
    with opened.reading() as connection:
        assert blobs.needed_by(connection, row.id) == frozenset()
    assert not list((desk.store.root / "incoming").iterdir())


def test_what_cannot_be_brought_in_fails_with_its_cause(opened: Database, root: Path) -> None:
    desk = Desk(opened, root, max_model_bytes=4, max_dataset_bytes=1)
    (root / "link").symlink_to("/etc/passwd")
    lab = "behind the connection 'lab': "
    missing = desk.refusal(desk.running(model=behind("nothing")))
    assert missing == ("connection-input", "user", f"The input model {lab}There is no 'nothing'.")
    large = desk.refusal(desk.running(model=behind("net.onnx")))
    assert large == ("connection-input", "limit", f"The input model {lab}'net.onnx' has 5 bytes, the limit is 4.")
    assert desk.refusal(desk.running(**{"data.evaluation": behind("set")}))[:2] == ("connection-input", "limit")
    assert desk.refusal(desk.running(model=behind("../secret")))[:2] == ("connection-input", "user")
    assert "links are not followed" in desk.refusal(desk.running(model=behind("link")))[2]
    assert desk.waits == []


def test_a_tenant_whose_storage_is_used_up_brings_nothing_in(opened: Database, root: Path) -> None:
    desk = Desk(opened, root, tenant_quota_bytes=5)
    assert desk.arrivals.bring(desk.running(model=behind("net.onnx"))) is not None
    refusal = desk.refusal(desk.running(**{"data.evaluation": behind("set")}))
    assert refusal == ("over-quota", "limit", "All 5 bytes are used.")


def test_a_place_that_is_away_is_asked_again(opened: Database, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(opened, root)
    os.rename(root, root.parent / "away")
    code, blame, text = desk.refusal(desk.running(model=behind("net.onnx")))
    assert (code, blame, desk.waits) == ("connection-failed", "system", [1.0, 5.0, 20.0])
    assert str(root) not in text
    desk.waits.clear()
    real, calls = fetching.open_place, []

    def flaky(connection: Any) -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionDownError("the store is slow")
        return real(connection)

    os.rename(root.parent / "away", root)
    monkeypatch.setattr(arrivals, "open_place", flaky)
    assert desk.arrivals.bring(desk.running(model=behind("net.onnx"))) is not None
    assert desk.waits == [1.0, 5.0]


def test_a_worker_without_the_connection_says_so(opened: Database, root: Path) -> None:
    desk = Desk(opened, root, connections={})
    assert "knows no connection of this name" in desk.refusal(desk.running(model=behind("net.onnx")))[2]


@pytest.fixture(scope="module")
def store(small: Files) -> Iterator[dict[str, str]]:
    """An S3 server with the files; the connection that leads there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"access_key": "AKIA", "secret_key": "hunter2", "region": "us-east-1", "endpoint": f"http://{host}:{port}"}
    access = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "hunter2", "region_name": "us-east-1"}
    client: Any = boto3.client("s3", endpoint_url=keys["endpoint"], **access)
    client.create_bucket(Bucket="arrivals")
    for path in (small.model, small.calibration, small.evaluation):
        client.put_object(Bucket="arrivals", Key=f"vision/{path.name}", Body=path.read_bytes())
    yield {"kind": "s3", "bucket": "arrivals", "prefix": "vision", **keys}
    server.stop()


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_study_reads_everything_through_a_connection(
    service: Installation, small: Files, tmp_path: Path, store: dict[str, str], kind: str
) -> None:
    setting = tmp_path / "connections.yaml"
    place = store if kind == "s3" else {"kind": "local", "path": str(small.model.parent)}
    setting.write_text(yaml.safe_dump({"lab": place}))
    inputs = {
        "model": behind(small.model.name),
        "data.calibration": behind(small.calibration.name),
        "data.evaluation": behind(small.evaluation.name),
    }
    made = service.submit(small, inputs=inputs, search={"max_evaluations": 1})
    service.start(connections=setting)
    row = service.wait(made)
    assert row.state == "succeeded", row.error
    assert row.problem is not None
    assert row.problem["inputs"]["model"]["digest"] == sha256(small.model)
