"""Submitting studies, and steering them."""

import difflib
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from search.spec.job import JobSpec
from service.store.db import studies
from service.store.db.engine import Database
from service.store.settings import Settings
from tests.service.api.serving import DATA, MODEL, Server, serving, sha256, spec_for, submit, upload


class TestSubmit:
    def test_a_spec_becomes_a_queued_study_that_the_engine_knows(self, both: Server) -> None:
        client = both.client()
        answer = client.post("/v1/studies?name=first", json=spec_for(client, run={"priority": 7, "timeout_s": 60.0}))
        assert answer.status_code == 202
        study = answer.json()
        assert answer.headers["location"] == f"/v1/studies/{study['id']}"
        assert answer.headers["etag"] == '"v1"'
        assert (study["state"], study["name"], study["priority"], study["timeout_s"]) == ("queued", "first", 7, 60.0)
        assert study["spec"]["target"] == {"name": "j6m", "toolchain": "3.9.1", "route": None}
        assert both.engine.told == [("submit", study["id"])]
        assert client.get(answer.headers["location"]).json() == study

    def test_yaml_and_json_mean_the_same(self, server: Server) -> None:
        client = server.client()
        spec = spec_for(client)
        first = client.post("/v1/studies", json=spec).json()
        text = yaml.safe_dump(spec).encode()
        second = client.post("/v1/studies", content=text, headers={"Content-Type": "application/yaml"}).json()
        assert first["spec_digest"] == second["spec_digest"]
        assert first["id"] != second["id"]

    def test_the_digest_follows_contents_not_names(self, server: Server) -> None:
        client = server.client()
        spec = spec_for(client, run={"threads": 1})
        model = client.post("/v1/models", json={"digest": sha256(MODEL)}).json()["id"]
        named = {**spec, "model": f"models/{model}", "run": {"threads": 1, "priority": 5}}
        plain, by_name = (client.post("/v1/studies?dry_run=true", json=one).json() for one in (spec, named))
        assert plain["spec_digest"] == by_name["spec_digest"]
        other = {**spec, "target": {"name": "j6e"}}
        assert client.post("/v1/studies?dry_run=true", json=other).json()["spec_digest"] != plain["spec_digest"]

    def test_a_dry_run_checks_and_estimates_and_queues_nothing(self, server: Server) -> None:
        client = server.client()
        answer = client.post("/v1/studies?dry_run=true", json=spec_for(client, search={"max_evaluations": 9}))
        assert answer.status_code == 200
        estimate = answer.json()["estimate"]
        assert (estimate["basis"], estimate["evaluations"]) == ("bounds", {"low": 2.0, "high": 9.0})
        assert estimate["input_bytes"] == len(MODEL) + 2 * len(DATA)
        assert client.get("/v1/studies").json()["items"] == []
        assert server.engine.told == []
        bad = client.post("/v1/studies?dry_run=true", json=spec_for(client, model="model.onnx"))
        assert bad.json()["code"] == "invalid-reference"

    def test_an_estimate_learns_from_earlier_studies_of_the_same_model(self, server: Server) -> None:
        client = server.client()
        server.finish(submit(client), result={"search": {"evaluations": 12}})
        estimate = client.post("/v1/studies?dry_run=true", json=spec_for(client)).json()["estimate"]
        assert (estimate["basis"], estimate["n_studies"], estimate["evaluations"]) == (
            "earlier",
            1,
            {"low": 12.0, "high": 12.0},
        )

    def test_reuse_finds_the_finished_study(self, server: Server) -> None:
        client = server.client()
        first = submit(client)
        assert client.post("/v1/studies?reuse=true", json=spec_for(client)).status_code == 202
        server.finish(first)
        answer = client.post("/v1/studies?reuse=true", json=spec_for(client))
        assert (answer.status_code, answer.json()["id"]) == (200, first)

    def test_a_tenant_may_queue_so_many(self, sqlite_database: Database, tmp_path: Path) -> None:
        with serving(sqlite_database, tmp_path, max_queued_studies=1) as server:
            client = server.client()
            first = submit(client)
            answer = client.post("/v1/studies", json=spec_for(client))
            assert (answer.status_code, answer.json()["code"]) == (409, "too-many-studies")
            client.post(f"/v1/studies/{first}/cancel")
            submit(client)


class TestCeilings:
    """A wish above what the operator allows is no mistake: the smaller of the two values holds."""

    @pytest.fixture
    def strict(self, sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
        limits = {"max_priority": 10, "max_threads": 2, "study_wall_s": 100.0, "max_search_s": 50.0}
        with serving(sqlite_database, tmp_path, **limits) as found:
            yield found

    @pytest.mark.parametrize(
        ("wish", "holds"),
        [
            ({"priority": 1000, "threads": 256, "timeout_s": 3e7}, (10, 2, 100.0)),
            ({"priority": 10**12, "threads": 10**6, "timeout_s": 1e308}, (10, 2, 100.0)),
            ({"priority": -(10**12), "threads": 1, "timeout_s": 7.0}, (-1000, 1, 7.0)),
            ({}, (0, 1, 100.0)),
        ],
    )
    def test_how_a_study_runs(self, strict: Server, wish: dict[str, float], holds: tuple[float, ...]) -> None:
        client = strict.client()
        answer = client.post("/v1/studies", json=spec_for(client, run=wish))
        assert answer.status_code == 202, answer.text
        shown = answer.json()
        with strict.database.reading() as connection:
            row = studies.load(connection, shown["id"])
        assert row is not None
        assert row.problem is not None
        assert (row.priority, row.problem["threads"], row.timeout_s) == holds
        assert (shown["priority"], shown["timeout_s"]) == (holds[0], holds[2])
        assert {name: shown["spec"]["run"][name] for name in wish} == wish  # the wish stays visible beside it

    @pytest.mark.parametrize(("wish", "holds"), [(None, 50.0), (20.0, 20.0), (1e6, 50.0)])
    def test_how_long_it_searches(self, strict: Server, wish: float | None, holds: float) -> None:
        client = strict.client()
        answer = client.post("/v1/studies", json=spec_for(client, search={"max_seconds": wish}))
        assert answer.json()["limits"]["max_seconds"] == holds

    def test_a_priority_that_is_changed_later(self, strict: Server) -> None:
        client = strict.client()
        study = submit(client)
        for wish, holds in ((1000, 10), (3, 3), (-(2**31), -1000)):
            answer = client.patch(f"/v1/studies/{study}", json={"priority": wish})
            assert answer.json()["priority"] == holds
        assert client.patch(f"/v1/studies/{study}", json={"priority": 2**31}).status_code == 422


class TestWorkIsBoundedBeforeItIsDone:
    """Counts what is done, never how long it takes: a spec of a megabyte must cost what a small one costs."""

    @pytest.fixture
    def compared(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        words: list[str] = []

        def count(word: str, known: Iterable[str], **_: object) -> list[str]:
            words.append(word)
            return []

        monkeypatch.setattr(difflib, "get_close_matches", count)
        return words

    def test_only_mistakes_that_are_shown_are_explained(self, server: Server, compared: list[str]) -> None:
        client = server.client()
        spec = {**spec_for(client), **{f"key{n}": 1 for n in range(5000)}}
        answer = client.post("/v1/studies", json=spec)
        assert (answer.status_code, len(answer.json()["pointers"])) == (422, 50)
        assert "and 4997 more" in answer.json()["detail"]
        assert len(compared) == 50

    @pytest.mark.parametrize(
        "text",
        [
            "\n".join(f"key{n}: 1" for n in range(20_000)),
            "x: [" + "1, " * 30_000 + "1]",
            "# " + "x" * 900_000,
            "x: " + "y" * 900_000,
            "{" + ", ".join(f"key{n}: 1" for n in range(12_000)) + "}",
            "{" + ", ".join(f'"key{n}": 1' for n in range(40_000)) + "}",
            '{"goal": [' + "1, " * 300_000 + "1]}",
        ],
    )
    def test_a_large_spec_is_refused_before_a_key_is_looked_at(
        self, server: Server, compared: list[str], monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        validated: list[object] = []
        monkeypatch.setattr(JobSpec, "model_validate", validated.append)
        kind = "application/json" if text.startswith("{") else "application/yaml"
        answer = server.client().post("/v1/studies", content=text, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")
        assert any(word in answer.json()["detail"] for word in ("keys and values", "characters"))
        assert (validated, compared) == ([], [])


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("changes", "pointer", "message"),
        [
            ({"modell": "x"}, "/modell", "did you mean 'model'?"),
            ({"tenant_id": "x"}, "/tenant_id", "unknown key"),
            ({"state": "succeeded"}, "/state", "unknown key"),
            ({"target": {"name": "j6n"}}, "/target/name", "did you mean"),
            ({"target": {"name": "/etc/passwd.toml"}}, "/target/name", "there is no such target"),
            ({"target": {"name": "j6m", "toolchain": "three"}}, "/target/toolchain", "not numbers joined by dots"),
            ({"goal": [{"metric": "top1", "max_drop": 5}]}, "/goal/0", "max_drop"),
            ({"goal": [{"metric": "top9"}]}, "/goal/0/metric", "unknown"),
            ({"goal": [{"metric": "python:os:system", "min_value": 1.0}]}, "", "not available"),
            (
                {"goal": [{"metric": "plugin:mine", "min_value": 1.0}]},
                "",
                "no installed package brings a metric 'mine'",
            ),
            ({"outputs": {"a\u0000b": {}}}, "/outputs", "zero byte"),
        ],
    )
    def test_a_spec_with_a_mistake_has_a_pointer_to_it(
        self, server: Server, changes: dict[str, object], pointer: str, message: str
    ) -> None:
        client = server.client()
        answer = client.post("/v1/studies", json=spec_for(client, **changes))
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-spec")
        (found, *_) = answer.json()["pointers"]
        assert found["pointer"].startswith(pointer)
        assert message in found["message"]

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "model.onnx",
                "/etc/passwd",
                "../model.onnx",
                "~/model.onnx",
                "C:\\model.onnx",
                "models/../x",
                "models/x",
            ),
            *("http://169.254.169.254/latest", "https://example.org/m.onnx", "file:///etc/passwd", "ftp://x/y"),
            *("s3://bucket/key", "zip://x::file:///etc/passwd", "simplecache::file:///etc/passwd", "//host/share"),
            *("sha256:" + "0" * 63, "sha256:" + "G" * 64, "SHA256:" + "0" * 64, "sha512:" + "0" * 64, "random"),
            *("connection://", "connection://lab", "connection://lab/", "connection:///x", "connection://LAB/x"),
            *("connection://lab/../x", "connection://lab//x", "connection://lab/./x", "connection://lab/a\\b"),
            *("connection://user@lab/x", "connection://lab:80/x", "datasets/01900000-0000-7000-8000-000000000000"),
        ],
    )
    def test_no_path_and_no_address_is_followed(self, server: Server, text: str) -> None:
        client = server.client()
        answer = client.post("/v1/studies", json=spec_for(client, model=text))
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-reference")
        assert [one["pointer"] for one in answer.json()["pointers"]] == ["/model"]

    def test_a_custom_metric_and_overrides_are_inputs_too(self, server: Server) -> None:
        client = server.client()
        goal = [{"metric": "onnx:metric.onnx", "output": "y", "min_value": 0.5}]
        answer = client.post("/v1/studies", json=spec_for(client, goal=goal, overrides="overrides.json"))
        assert [one["pointer"] for one in answer.json()["pointers"]] == ["/overrides", "/goal/0/metric"]
        reference = upload(client, b"a metric")
        goal = [{"metric": f"onnx:{reference}", "output": "y", "min_value": 0.5}]
        answer = client.post("/v1/studies", json=spec_for(client, goal=goal, overrides=reference))
        assert answer.status_code == 202

    def test_what_was_never_uploaded_is_named(self, server: Server) -> None:
        client = server.client()
        lost = f"sha256:{'0' * 64}"
        answer = client.post("/v1/studies", json=spec_for(client, model=lost))
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown-input")
        assert answer.json()["pointers"][0]["pointer"] == "/model"

    def test_only_the_administrators_connections_exist(self, sqlite_database: Database, tmp_path: Path) -> None:
        connections = {"lab": {"kind": "local", "path": str(tmp_path)}}
        with serving(sqlite_database, tmp_path, connections=connections) as server:
            client = server.client()
            answer = client.post("/v1/studies", json=spec_for(client, model="connection://lap/m.onnx"))
            assert "did you mean 'lab'?" in answer.json()["pointers"][0]["message"]
            assert (
                client.post("/v1/studies", json=spec_for(client, model="connection://lab/a/m.onnx")).status_code == 202
            )

    @pytest.mark.parametrize(
        ("body", "kind", "status", "code"),
        [
            (b"{", "application/json", 400, "bad-request"),
            (b"", "application/json", 400, "bad-request"),
            (b"[]", "application/json", 400, "bad-request"),
            (b"\xff\xfe", "application/json", 400, "bad-request"),
            (b'{"model": NaN}', "application/json", 400, "bad-request"),
            (b'{"a": 1, "a": 2}', "application/json", 400, "bad-request"),
            (b'{"a":' * 100_000, "application/json", 400, "bad-request"),
            (b"[" * 400_000, "application/json", 400, "bad-request"),
            (b"model: !!python/object/apply:os.system [id]", "application/yaml", 400, "bad-request"),
            (b"a: &a [x,x]\nb: &b [*a,*a]\n" + b"c: [*b" + b",*b" * 200 + b"]", "application/yaml", 400, "bad-request"),
            (
                b'{"model": "\\ud800", "data": {"calibration": "random"}, "target": {"name": "j6m"}}',
                "application/json",
                422,
                "",
            ),
            (
                b'{"model": "m", "data": {"calibration": "random"}, "target": {"name": "j6m"},'
                b' "goal": [{"metric": "top1", "output": "\\ud800"}]}',
                "application/json",
                422,
                "invalid-spec",
            ),
            (b'{"search": {"seed": ' + b"9" * 5000 + b"}}", "application/json", 422, "invalid-spec"),
            (b"{}", "text/plain", 415, "unsupported-media-type"),
            (b"{}", "", 415, "unsupported-media-type"),
            (b"{}", "multipart/form-data", 415, "unsupported-media-type"),
        ],
        ids=range(16),
    )
    def test_hostile_text_is_refused_and_the_server_lives(
        self, server: Server, body: bytes, kind: str, status: int, code: str
    ) -> None:
        client = server.client()
        answer = client.post("/v1/studies", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
        assert answer.json()["code"].startswith(code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/livez").status_code == 200


class TestIdempotencyKey:
    def test_a_hundred_parallel_requests_make_one_study(self, database: Database, tmp_path: Path) -> None:
        """With the limits that a server has when nobody sets any."""
        rates = {name: Settings.model_fields[name].default for name in ("requests_per_s", "request_burst")}
        with serving(database, tmp_path, **rates) as server:
            self._check_hundred(server)

    def _check_hundred(self, both: Server) -> None:
        client = both.client()
        spec = spec_for(client)
        start = threading.Barrier(100)

        def post(_: int) -> tuple[int, str, str | None]:
            start.wait()
            answer = client.post("/v1/studies", json=spec, headers={"Idempotency-Key": "once"})
            return answer.status_code, answer.text, answer.headers.get("idempotent-replayed")

        with ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(post, range(100)))
        assert {status for status, _, _ in answers} == {202}
        assert len({body for _, body, _ in answers}) == 1
        assert sorted(replayed or "" for _, _, replayed in answers) == ["", *["true"] * 99]
        assert len(client.get("/v1/studies").json()["items"]) == 1
        assert len(both.engine.told) == 1

    def test_another_body_with_the_same_key_is_refused(self, server: Server) -> None:
        client = server.client()
        headers = {"Idempotency-Key": "k"}
        client.post("/v1/studies", json=spec_for(client), headers=headers)
        answer = client.post("/v1/studies", json=spec_for(client, target={"name": "j6e"}), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")
        assert [one["pointer"] for one in answer.json()["pointers"]] == ["header:idempotency-key"]
        renamed = client.post("/v1/studies?name=x", json=spec_for(client), headers=headers)
        assert renamed.json()["code"] == "idempotency-mismatch"

    def test_another_tenant_has_keys_of_its_own(self, server: Server) -> None:
        ids = set()
        for tenant in ("default", "other"):
            client = server.client(tenant=tenant)
            ids.add(client.post("/v1/studies", json=spec_for(client), headers={"Idempotency-Key": "k"}).json()["id"])
        assert len(ids) == 2

    def test_a_refused_request_does_not_use_the_key_up(self, server: Server) -> None:
        client = server.client()
        headers = {"Idempotency-Key": "k"}
        assert client.post("/v1/studies", json={"model": "x"}, headers=headers).status_code == 422
        assert client.post("/v1/studies", json=spec_for(client), headers=headers).status_code == 202


class TestSteering:
    def test_a_study_that_waits_is_cancelled_at_once(self, both: Server) -> None:
        client = both.client()
        study = submit(client)
        answer = client.post(f"/v1/studies/{study}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
        assert both.engine.told[-1] == ("cancel", study)
        assert client.post(f"/v1/studies/{study}/cancel").json()["code"] == "state-conflict"

    def test_a_running_one_is_cancelled_by_its_worker(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        server.move(study, expect="queued", to="running")
        assert client.post(f"/v1/studies/{study}/cancel").json()["state"] == "cancelling"
        assert client.post(f"/v1/studies/{study}/cancel").json()["state"] == "cancelling"
        assert client.post(f"/v1/studies/{study}/pause").json()["code"] == "state-conflict"
        server.move(study, expect="cancelling", to="cancelled")
        assert client.get(f"/v1/studies/{study}").json()["state"] == "cancelled"

    def test_pause_and_resume(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        server.move(study, expect="queued", to="running")
        for _ in range(2):
            answer = client.post(f"/v1/studies/{study}/pause")
            assert (answer.status_code, answer.json()["state"]) == (202, "paused")
        for _ in range(2):
            assert client.post(f"/v1/studies/{study}/resume").json()["state"] == "queued"
        assert [what for what, _ in server.engine.told] == ["submit", "pause", "resume"]
        server.finish(study)
        for action in ("pause", "resume", "cancel"):
            assert client.post(f"/v1/studies/{study}/{action}").status_code == 409

    def test_the_priority_and_the_name_can_be_changed(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        answer = client.patch(f"/v1/studies/{study}", json={"priority": -5, "name": "other"})
        assert (answer.json()["priority"], answer.json()["name"]) == (-5, "other")
        assert server.engine.told[-1] == ("prioritise", study)
        server.finish(study)
        assert client.patch(f"/v1/studies/{study}", json={"priority": 1}).status_code == 409
        assert client.patch(f"/v1/studies/{study}", json={"name": None}).json()["name"] is None

    @pytest.mark.parametrize("key", ["state", "tenant_id", "outcome", "version", "id", "result"])
    def test_nothing_else_can_be_changed(self, server: Server, key: str) -> None:
        client = server.client()
        study = submit(client)
        before = client.get(f"/v1/studies/{study}").json()
        answer = client.patch(f"/v1/studies/{study}", json={key: "x"})
        assert (answer.status_code, answer.json()["pointers"][0]["pointer"]) == (422, f"/{key}")
        assert client.get(f"/v1/studies/{study}").json() == before

    def test_if_match_lets_only_the_seen_version_be_changed(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        tag = client.get(f"/v1/studies/{study}").headers["etag"]
        changed = client.patch(f"/v1/studies/{study}", json={"name": "a"}, headers={"If-Match": tag})
        assert changed.headers["etag"] == '"v2"'
        for stale in (tag, '"x"', "v2", '"v99999999999999999999"'):
            answer = client.post(f"/v1/studies/{study}/cancel", headers={"If-Match": stale})
            assert (answer.status_code, answer.json()["code"]) == (412, "changed-meanwhile")
        for known in ('"v2"', 'W/"v2"', '"v1", "v2"', "*"):
            seen = client.get(f"/v1/studies/{study}", headers={"If-None-Match": known})
            assert (seen.status_code, seen.content, seen.headers["etag"]) == (304, b"", '"v2"')
        assert client.get(f"/v1/studies/{study}", headers={"If-None-Match": '"v1"'}).status_code == 200
        assert client.post(f"/v1/studies/{study}/cancel", headers={"If-Match": '"v2"'}).status_code == 202

    def test_an_ended_study_is_deleted_and_any_other_cancelled(self, both: Server) -> None:
        client = both.client()
        study = submit(client)
        answer = client.delete(f"/v1/studies/{study}")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
        answer = client.delete(f"/v1/studies/{study}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert client.get(f"/v1/studies/{study}").status_code == 404
        audited = [one["action"] for one in client.get("/v1/audit").json()["items"]]
        assert audited[:3] == ["study.delete", "study.cancel", "study.submit"]
