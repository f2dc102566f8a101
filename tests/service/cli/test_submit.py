"""``bitbudget submit`` and its relatives against a server that runs nothing: exit codes, uploads, the result file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from service.cli.exits import Exit, exit_of_client_error, exit_of_study
from service.client.errors import UnreachableError, WaitTimeoutError, error_of
from service.client.retries import NO_RETRIES
from service.contract import Study, read
from service.store.db.engine import Database
from tests.service.api.serving import Server, serving
from tests.service.command import Ended, bitbudget
from tests.study.small import Files, write


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("small"), n=20)


@pytest.fixture
def server(
    sqlite_database: Database, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    with serving(sqlite_database, tmp_path_factory.mktemp("server")) as found:
        for name in ("BITBUDGET_API_KEY_FILE", "BITBUDGET_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("BITBUDGET_URL", found.url)
        monkeypatch.setenv("BITBUDGET_API_KEY", found.key())
        yield found


def submit(files: Files, *options: str | Path) -> Ended:
    return bitbudget("submit", *files.arguments, "--target", "j6m", *options)


def study_of(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.client().get("/v1/studies").json()["items"][0]
    return dict(server.client().get(f"/v1/studies/{found['id']}").json())


def test_a_submission_uploads_and_returns_at_once(server: Server, files: Files) -> None:
    done = submit(files, "--max-drop", "0.02", "--name", "mine", "--priority", "5", "--json")
    assert done.code == 0, done.err
    study = json.loads(done.out)["study"]
    assert (study["state"], study["name"], study["priority"]) == ("queued", "mine", 5)
    assert study["spec"]["goal"][0]["max_drop"] == 0.02
    assert study["spec"]["model"].startswith("sha256:")
    again = submit(files, "--idempotency-key", "k")
    assert again.code == 0
    before = len(server.client().get("/v1/studies").json()["items"])
    assert submit(files, "--idempotency-key", "k").code == 0
    assert len(server.client().get("/v1/studies").json()["items"]) == before


def test_a_study_without_a_name_is_called_after_its_model_and_chip(server: Server, files: Files) -> None:
    assert submit(files).code == 0
    assert study_of(server)["name"] == "model on j6m"


def test_a_dry_run_queues_nothing(server: Server, files: Files) -> None:
    done = submit(files, "--dry-run", "--json")
    assert json.loads(done.out)["estimate"]["estimate"]["evaluations"]["low"] >= 1
    assert server.client().get("/v1/studies").json()["items"] == []


def test_directories_and_external_data_are_uploaded(server: Server, files: Files, tmp_path: Path) -> None:
    proto = onnx.load(files.model)
    (tmp_path / "weights").mkdir()
    onnx.save(proto, tmp_path / "big.onnx", save_as_external_data=True, location="weights/data.bin", size_threshold=0)
    (tmp_path / "samples" / "x").mkdir(parents=True)
    for n in range(3):
        np.save(tmp_path / "samples" / "x" / f"{n}.npy", np.zeros((1, 8, 8), np.float32))
    data = ["--calibration", str(tmp_path / "samples"), "--evaluation", str(files.evaluation)]
    done = bitbudget("submit", tmp_path / "big.onnx", *data, "--target", "j6m", "--json")
    assert done.code == 0, done.err
    spec = json.loads(done.out)["study"]["spec"]
    client = server.client()
    assert set(client.get(f"/v1/{spec['model']}").json()["files"]) == {"weights/data.bin"}
    assert set(client.get(f"/v1/{spec['data']['calibration']}").json()["files"]) == {f"x/{n}.npy" for n in range(3)}


def test_references_to_what_the_server_has_are_left_alone(server: Server, files: Files) -> None:
    first = json.loads(submit(files, "--json").out)["study"]["spec"]
    data = first["data"]["calibration"]
    done = bitbudget("submit", first["model"], "--calibration", data, "--evaluation", data, "--target", "j6m", "--json")
    assert json.loads(done.out)["study"]["spec"]["model"] == first["model"]


@pytest.mark.parametrize("verdict", [("met", 0), ("not_met", 3)])
def test_waiting_ends_with_the_code_of_the_outcome(
    server: Server, files: Files, tmp_path: Path, verdict: tuple[str, int]
) -> None:
    outcome, code = verdict
    key = f"same-{outcome}"
    study = json.loads(submit(files, "--json", "--idempotency-key", key).out)["study"]["id"]
    result = {"outcome": outcome, "stopped": None}
    server.deliver(study, {"result.json": json.dumps(result).encode(), "horizon/x.json": b"{}"})
    server.finish(study, outcome)
    ending = tmp_path / "ending.json"
    options = ("--wait", "--json", "--output", tmp_path / "out", "--result-file", ending, "--idempotency-key", key)
    done = submit(files, *options)
    assert done.code == code, done.err
    assert json.loads(done.out) == json.loads(ending.read_text())
    assert json.loads(done.out)["result"] == result
    assert (tmp_path / "out" / "horizon" / "x.json").read_bytes() == b"{}"


def test_the_result_file_is_written_on_every_way_out(
    server: Server, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = tmp_path / "ending.json"
    option = ("--result-file", ending)

    def left(done: Ended) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ending.read_text())
        assert found["exit_code"] == done.code, done.err
        ending.unlink()
        return found

    assert left(submit(files, *option))["study"]["state"] == "queued"
    assert left(submit(files, "--wait", "--timeout", "0.3", *option))["exit_code"] == 124
    assert left(bitbudget("submit", "nowhere.onnx", *files.arguments[1:], "--target", "j6m", *option))["exit_code"] == 2
    assert left(submit(files, "--metrik", "top1", *option))["error"]["code"] == "usage"
    assert left(submit(files, "--max-drop", "0.1", "--min-value", "0.5", *option))["exit_code"] == 2
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    broken = ("submit", tmp_path / "broken.onnx", *files.arguments[1:], "--target", "j6m", *option)
    assert left(bitbudget(*broken))["exit_code"] == 4
    assert left(submit(files, "--target", "j7", *option))["error"]["code"] == "invalid-spec"
    monkeypatch.setenv("BITBUDGET_API_KEY", "bbk_wrong")
    refused = submit(files, *option)
    assert "BITBUDGET_API_KEY" in refused.err
    assert left(refused)["exit_code"] == 7
    monkeypatch.setenv("BITBUDGET_API_KEY", server.key("read"))
    assert left(submit(files, *option))["exit_code"] == 7
    monkeypatch.setattr("service.cli.submit.Retries", lambda **_: NO_RETRIES)
    assert left(submit(files, "--url", "http://127.0.0.1:9", *option))["exit_code"] == 75
    monkeypatch.setattr("service.cli.submit.run_order", lambda *_: 1 / 0)
    assert left(submit(files, *option))["exit_code"] == 5
    monkeypatch.setattr("service.cli.submit.run_order", _interrupted)
    assert left(submit(files, *option))["exit_code"] == 130


@pytest.mark.parametrize("delay_s", [0.0, 0.2, 0.5, 1.0, 2.0])
def test_sigterm_at_any_moment_leaves_an_ending(server: Server, files: Files, tmp_path: Path, delay_s: float) -> None:
    """Also while libraries are loaded, files are read and sent; an ending of an earlier command does not stay."""
    ending = tmp_path / "ending.json"
    ending.write_text(json.dumps({"exit_code": 0}))
    given = [*("submit", *files.arguments, "--target", "j6m", "--wait"), "--result-file", str(ending)]
    process = subprocess.Popen([sys.executable, "-m", "bitbudget", *given], stderr=subprocess.PIPE, text=True)
    while json.loads(ending.read_text())["exit_code"] == 0:
        time.sleep(0.001)
    time.sleep(delay_s)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    found = json.loads(ending.read_text())
    assert (found["exit_code"], found["error"]["code"]) == (130, "interrupted")


def _interrupted(*_: object) -> int:
    raise KeyboardInterrupt


def test_a_result_file_that_cannot_be_written_is_said_before_anything_is_sent(server: Server, files: Files) -> None:
    done = submit(files, "--result-file", "/nowhere/ending.json")
    assert done.code == 2
    assert "--result-file" in done.err
    assert server.client().get("/v1/studies").json()["items"] == []


def test_status_cancel_and_download(server: Server, files: Files, tmp_path: Path) -> None:
    study = json.loads(submit(files, "--json").out)["study"]["id"]
    assert "queued" in bitbudget("status", study).out
    assert study in bitbudget("status").out
    assert bitbudget("status", study, "--wait", "--timeout", "0.2").code == 124
    assert bitbudget("download", study, "--output", tmp_path / "o").out == "no files\n"
    assert json.loads(bitbudget("cancel", study, "--json").out)["state"] == "cancelled"
    assert bitbudget("status", study, "--wait").code == 6
    assert bitbudget("status", "unknown").code == 8
    assert bitbudget("download", study, "--output", tmp_path / "o", "--file", "x").code == 8


def test_keys_are_made_listed_and_revoked(server: Server) -> None:
    made = json.loads(bitbudget("keys", "create", "ci", "--scope", "submit", "--days", "3", "--json").out)
    assert made["key"].startswith(made["prefix"])
    assert made["prefix"] in bitbudget("keys", "list").out
    assert bitbudget("keys", "revoke", made["prefix"]).code == 0
    assert "revoked" in bitbudget("keys", "list").out
    assert bitbudget("keys", "revoke", "nobody").code == 8
    assert bitbudget("keys", "create", "ci", "--scope", "everything").code == 2


def test_keys_can_be_made_in_the_database_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITBUDGET_API_KEY", raising=False)
    place = ("--local", "--data-dir", tmp_path, "--tenant", "other")
    key = bitbudget("keys", "create", "first", "--scope", "admin", *place)
    assert key.code == 0, key.err
    assert key.out.startswith("bbk_")
    prefix = "_".join(key.out.split("_")[:2])
    assert prefix in bitbudget("keys", "list", *place).out
    assert bitbudget("keys", "list", "--local", "--data-dir", tmp_path).out == "no keys\n"
    assert bitbudget("keys", "revoke", prefix, *place).code == 0
    assert json.loads(bitbudget("keys", "list", *place, "--json").out)[0]["revoked"] is not None


def test_migrate_makes_checks_and_copies(tmp_path: Path) -> None:
    place = ("--data-dir", tmp_path)
    assert bitbudget("migrate", "--check", *place).code == 2
    assert bitbudget("migrate", *place).code == 0
    assert bitbudget("migrate", *place).code == 0
    assert bitbudget("migrate", "--check", *place).code == 0
    assert bitbudget("migrate", "--backup", tmp_path / "copy.sqlite", *place).code == 0
    assert bitbudget("migrate", "--backup", tmp_path / "copy.sqlite", *place).code == 2
    url = f"sqlite:///{tmp_path / 'copy.sqlite'}"
    assert bitbudget("migrate", "--check", "--database-url", url, *place).code == 0


@pytest.mark.parametrize(
    "arguments",
    [("serve", "--port", "0"), ("worker",), ("migrate",), ("migrate", "--check"), ("keys", "list", "--local")],
    ids=" ".join,
)
def test_a_database_that_does_not_answer_is_temporary_and_one_that_is_none_is_not(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    away = "postgresql://user:hunter2@127.0.0.1:9/x"
    done = bitbudget(*arguments, "--data-dir", tmp_path, "--database-url", away)
    assert done.code == 75, done.err
    assert "does not answer" in done.err
    assert "hunter2" not in done.err
    (tmp_path / "broken.sqlite").write_bytes(b"this is no database" * 100)
    broken = f"sqlite:///{tmp_path / 'broken.sqlite'}"
    done = bitbudget(*arguments, "--data-dir", tmp_path, "--database-url", broken)
    assert done.code == 2, done.err
    assert "cannot be used: file is not a database" in done.err


def test_the_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path, server: Server) -> None:
    done = bitbudget("doctor", "--data-dir", tmp_path / "data", "--json")
    found = {one["name"]: one for one in json.loads(done.out)["checks"]}
    assert (found["server"]["level"], found["key"]["level"], found["database"]["level"]) == ("ok", "ok", "ok")
    bad = bitbudget("doctor", "--data-dir", tmp_path / "data", "--url", "http://127.0.0.1:9")
    assert bad.code == 2
    assert "-> Start it with 'bitbudget serve'" in bad.out


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"state": "succeeded", "outcome": "met"}, Exit.MET),
        ({"state": "succeeded", "outcome": "not_evaluated"}, Exit.MET),
        ({"state": "succeeded", "outcome": "not_met", "stopped": "time"}, Exit.NOT_MET),
        ({"state": "cancelled"}, Exit.CANCELLED),
        ({"state": "failed", "error": {"code": "invalid-model", "blame": "user"}}, Exit.CONTENT),
        ({"state": "failed", "error": {"code": "memory-limit", "blame": "limit"}}, Exit.CONTENT),
        ({"state": "failed", "error": {"code": "invalid-spec", "blame": "user"}}, Exit.USAGE),
        ({"state": "failed", "error": {"code": "internal-error", "blame": "system"}}, Exit.FAILED),
        ({"state": "failed"}, Exit.FAILED),
        ({"state": "hibernating"}, Exit.MET),
    ],
)
def test_every_end_of_a_study_has_its_exit_code(document: dict[str, Any], code: Exit) -> None:
    assert exit_of_study(read(Study, document)) is code


def test_every_refusal_of_a_server_has_its_exit_code() -> None:
    by_status = {401: 7, 403: 7, 404: 8, 409: 2, 413: 2, 422: 2, 429: 75, 500: 5, 503: 75, 507: 75}
    assert {status: exit_of_client_error(error_of(status, b"{}")) for status in by_status} == by_status
    assert exit_of_client_error(error_of(409, b'{"code": "too-many-studies"}')) is Exit.TEMPORARY
    assert exit_of_client_error(UnreachableError("x")) is Exit.TEMPORARY
    assert exit_of_client_error(WaitTimeoutError("x")) is Exit.WAIT_TIMED_OUT


def test_tenants_are_listed_and_given_limits_on_the_machine_of_the_server(tmp_path: Path) -> None:
    place = ("--data-dir", tmp_path)
    assert bitbudget("tenants", "set", "acme", *place).code == 2
    assert bitbudget("tenants", "set", "acme", "--weight", "3", "--max-running", "2", *place).code == 0
    assert bitbudget("tenants", "set", "acme", "--max-queued", "7", *place).code == 0
    (shown,) = json.loads(bitbudget("tenants", "list", "--json", *place).out)
    assert (shown["weight"], shown["max_running"], shown["max_queued"], shown["day_seconds"]) == (3.0, 2, 7, None)
    assert "running 0 of 2" in bitbudget("tenants", "list", *place).out
    assert bitbudget("tenants", "set", "acme", "--reset", *place).code == 0
    (shown,) = json.loads(bitbudget("tenants", "list", "--json", *place).out)
    assert (shown["weight"], shown["max_running"], shown["max_queued"]) == (1.0, None, 100)
