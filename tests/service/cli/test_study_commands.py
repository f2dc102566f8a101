"""Every verb that the interface has for a study is a command, and each says how the study stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bitbudget._commands import ALL
from service.api.snapshot import snapshot
from service.cli.exits import Exit
from service.store.db import events, studies
from service.store.db.engine import Database
from tests.service.api.serving import Server, serving, submit
from tests.service.command import Ended, bitbudget

VERBS = {
    "submit_study": "submit",
    "list_studies": "status",
    "get_study": "status",
    "change_study": "change",
    "cancel_study": "cancel",
    "pause_study": "pause",
    "resume_study": "resume",
    "delete_study": "delete",
    "list_events": "follow",
    "list_artifacts": "artifacts",
    "get_artifact": "download",
}
READ_ELSEWHERE = {"list_trials", "get_trial", "list_groups", "get_front", "list_sensitivity", "list_layers"}
"""Tables: in the files that ``download`` fetches, as result.json and CSV."""


@pytest.fixture
def server(
    sqlite_database: Database, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    with serving(sqlite_database, tmp_path_factory.mktemp("server")) as found:
        monkeypatch.setenv("BITBUDGET_URL", found.url)
        monkeypatch.setenv("BITBUDGET_API_KEY", found.key())
        yield found


@pytest.fixture
def study(server: Server) -> str:
    return submit(server.client())


def told(done: Ended) -> dict[str, Any]:
    assert done.code == Exit.MET, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_no_verb_of_the_interface_is_without_a_command() -> None:
    paths = json.loads(snapshot())["paths"]
    verbs = {
        one["operationId"]
        for path, operations in paths.items()
        for method, one in operations.items()
        if path.startswith("/v1/studies") and method != "head"
    }
    assert verbs == VERBS.keys() | READ_ELSEWHERE | {"list_findings"}
    assert set(VERBS.values()) <= ALL.keys()


def test_a_study_is_paused_changed_resumed_cancelled_and_deleted(study: str, server: Server) -> None:
    assert told(bitbudget("pause", study, "--json"))["state"] == "paused"
    changed = told(bitbudget("change", study, "--name", "mine", "--priority", "7", "--json"))
    assert (changed["name"], changed["priority"], changed["state"]) == ("mine", 7, "paused")
    assert told(bitbudget("change", study, "--name", "", "--json"))["name"] is None
    assert told(bitbudget("resume", study, "--json"))["state"] == "queued"
    first = told(bitbudget("delete", study, "--json"))
    assert first["state"] == "cancelled"
    assert told(bitbudget("delete", study, "--json")) == {"deleted": study}
    assert server.client().get(f"/v1/studies/{study}").status_code == 404
    assert bitbudget("pause", study).code == Exit.NOT_FOUND


def test_nothing_to_change_is_said(study: str) -> None:
    done = bitbudget("change", study)
    assert (done.code, "--name or --priority" in done.err) == (Exit.USAGE, True)


def test_following_tells_every_event_and_leaves_as_the_study_ended(
    study: str, server: Server, sqlite_database: Database
) -> None:
    with sqlite_database.writing() as connection:
        row = studies.load(connection, study)
        assert row is not None
        studies.transition(connection, study, expect=("queued",), to="running")
        events.append(connection, study_id=study, tenant_id=row.tenant_id, kind="phase", data={"phase": "search"})
        studies.transition(connection, study, expect=("running",), to="cancelled")
    done = bitbudget("follow", study, "--json")
    assert done.code == Exit.CANCELLED
    kinds = [json.loads(line)["kind"] for line in done.out.splitlines()]
    assert "phase" in kinds
    assert bitbudget("follow", study).code == Exit.CANCELLED


def test_files_are_listed(study: str) -> None:
    assert told(bitbudget("artifacts", study, "--json")) == {"items": []}
    assert bitbudget("artifacts", study).out == "no files\n"
