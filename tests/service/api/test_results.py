"""Reading what a study has found."""

import json

import pytest

from service.store.db import studies
from tests.service.api.serving import Server, sha256, spec_for, submit, trial

SENSITIVITY = (
    b"output,metric,base,op_name,sensitive_type,op_type,value,dtype,flops,flops_share,group,rank\r\n"
    b"logits,cosine,int8,123,activation,Conv,0.25,int8,100,0.5,g0,1\r\n"
    b"logits,cosine,int8,'=cmd(),weight,Conv,,int8,100,0.5,g0,2\r\n"
    b'boxes,l1,int8,"a,b",activation,Relu,1e-06,int8,0,0.0,,1\r\n'
)


class TestLists:
    def test_pages_hold_every_study_once_also_while_others_are_added(self, both: Server) -> None:
        client = both.client()
        spec = spec_for(client)
        first = {client.post("/v1/studies", json=spec).json()["id"] for _ in range(7)}
        seen: list[str] = []
        cursor = None
        while True:
            params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
            page = client.get("/v1/studies", params=params).json()
            seen += [one["id"] for one in page["items"]]
            client.post("/v1/studies", json=spec)
            cursor = page["next"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 7
        assert set(seen) == first
        assert seen == sorted(seen, reverse=True)

    def test_filters(self, server: Server) -> None:
        client = server.client()
        done, waiting = submit(client), submit(client, target={"name": "j6e"})
        server.finish(done, outcome="not_met")

        def found(query: str) -> list[str]:
            return [one["id"] for one in client.get(f"/v1/studies?{query}").json()["items"]]

        assert found("state=succeeded") == [done]
        assert found("state=queued&state=succeeded") == [waiting, done]
        assert found("outcome=not_met") == [done]
        assert found("target=j6e") == [waiting]
        assert found("name=nobody") == []

    @pytest.mark.parametrize("cursor", ["x", "", "WyJub25lIiwgIngiXQ", "%00", "e30", "x" * 5000])
    def test_a_cursor_that_was_never_given_out_is_refused(self, server: Server, cursor: str) -> None:
        client = server.client()
        study = submit(client)
        for path in ("/v1/studies", "/v1/models", "/v1/keys", f"/v1/studies/{study}/trials"):
            answer = client.get(f"{path}?cursor={cursor}")
            assert answer.status_code == 422
            assert answer.json()["code"] in ("invalid-cursor", "invalid-request")

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "state=done", "limit=1e9"])
    def test_a_wrong_parameter_has_a_pointer(self, server: Server, query: str) -> None:
        answer = server.client().get(f"/v1/studies?{query}")
        assert answer.json()["code"] == "invalid-request"
        assert answer.json()["pointers"][0]["pointer"].startswith(f"query:{query.partition('=')[0]}")


class TestTrials:
    def test_in_any_order_and_by_verdict(self, both: Server) -> None:
        client = both.client()
        study = submit(client)
        both.add_trials(study, [trial(0, 1.0, 0.5, "not_met"), trial(1, 2.0, 0.9), trial(2, 1.5, 0.8)])

        def numbers(query: str) -> list[int]:
            return [one["no"] for one in client.get(f"/v1/studies/{study}/trials?{query}").json()["items"]]

        assert numbers("") == [0, 1, 2]
        assert numbers("order=-no") == [2, 1, 0]
        assert numbers("order=cost") == [0, 2, 1]
        assert numbers("verdict=met") == [1, 2]
        first = client.get(f"/v1/studies/{study}/trials?order=cost&limit=2").json()
        rest = client.get(f"/v1/studies/{study}/trials", params={"order": "cost", "cursor": first["next"]}).json()
        assert ([one["no"] for one in rest["items"]], rest["next"]) == ([1], None)
        wrong = client.get(f"/v1/studies/{study}/trials", params={"order": "no", "cursor": first["next"]})
        assert wrong.json()["code"] == "invalid-cursor"
        assert client.get(f"/v1/studies/{study}/trials/1").json()["detail"] == {"requested": "x"}
        assert client.get(f"/v1/studies/{study}/trials/9").status_code == 404
        assert client.get(f"/v1/studies/{study}/trials/{10**30}").status_code in (404, 422)

    def test_the_front_has_only_what_nothing_beats(self, both: Server) -> None:
        client = both.client()
        study = submit(client)
        rows = [
            trial(0, 1.0, 0.5),
            trial(1, 2.0, 0.9),
            trial(2, 1.5, 0.4),
            trial(3, 2.0, 0.95),
            trial(4, 0.5, 0.99, "rejected"),
        ]
        both.add_trials(study, rows)
        found = client.get(f"/v1/studies/{study}/front").json()
        assert [one["trial"] for one in found["items"]] == [0, 3]
        assert found["complete"] is False
        both.finish(study)
        assert client.get(f"/v1/studies/{study}/front").json()["complete"] is True


class TestTables:
    def test_rows_have_numbers_as_numbers_and_names_as_text(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        server.deliver(study, {"sensitivity.csv": SENSITIVITY})
        found = client.get(f"/v1/studies/{study}/sensitivity").json()
        assert found["items"][0] == {
            "output": "logits",
            "metric": "cosine",
            "base": "int8",
            "op_name": "123",
            "sensitive_type": "activation",
            "op_type": "Conv",
            "value": 0.25,
            "dtype": "int8",
            "flops": 100,
            "flops_share": 0.5,
            "group": "g0",
            "rank": 1,
        }
        assert (found["items"][1]["op_name"], found["items"][1]["value"]) == ("=cmd()", None)
        assert found["items"][2]["op_name"] == "a,b"

    def test_filters_and_pages(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        server.deliver(study, {"sensitivity.csv": SENSITIVITY})
        path = f"/v1/studies/{study}/sensitivity"
        assert len(client.get(f"{path}?output=logits").json()["items"]) == 2
        first = client.get(f"{path}?limit=2").json()
        rest = client.get(path, params={"cursor": first["next"]}).json()
        assert ([one["output"] for one in rest["items"]], rest["next"]) == (["boxes"], None)
        other = client.get(path, params={"cursor": first["next"], "output": "logits"})
        assert other.json()["code"] == "invalid-cursor"

    def test_findings_come_from_the_result(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        finding = {"code": "wide-range", "severity": "note", "message": "<script>", "advice": "x", "evidence": {}}
        assert client.get(f"/v1/studies/{study}/findings").json() == {"items": [], "complete": False}
        server.deliver(study, {"result.json": json.dumps({"findings": [finding]}).encode()})
        server.finish(study)
        assert client.get(f"/v1/studies/{study}/findings").json() == {"items": [finding], "complete": True}


class TestArtifacts:
    def test_each_is_a_file_with_its_digest_as_etag(self, both: Server) -> None:
        client = both.client()
        study = submit(client)
        both.deliver(
            study, {"horizon/quant_config.json": b"{}", "model.qdq.onnx": b"abc"}, media_type="application/json"
        )
        names = [one["name"] for one in client.get(f"/v1/studies/{study}/artifacts").json()["items"]]
        assert names == ["horizon/quant_config.json", "model.qdq.onnx"]
        answer = client.get(f"/v1/studies/{study}/artifacts/model.qdq.onnx", headers={"Range": "bytes=1-"})
        assert (answer.status_code, answer.content) == (206, b"bc")
        assert answer.headers["etag"] == f'"{sha256(b"abc")}"'
        nested = client.get(f"/v1/studies/{study}/artifacts/horizon/quant_config.json")
        assert nested.headers["content-disposition"].startswith('attachment; filename="quant_config.json"')
        head = client.head(f"/v1/studies/{study}/artifacts/model.qdq.onnx")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "3", b"")

    def test_what_a_model_named_cannot_break_the_headers(self, server: Server) -> None:
        client = server.client()
        study = submit(client)
        name = 'a"b;é\u202e.html'
        server.deliver(study, {name: b"<script>"}, media_type="text/html\r\nX-Evil: 1")
        (listed,) = client.get(f"/v1/studies/{study}/artifacts").json()["items"]
        assert listed["name"] == name
        server.deliver(study, {"report.html": b"<script>"}, media_type="text/html\r\nX-Evil: 1")
        answer = client.get(f"/v1/studies/{study}/artifacts/report.html")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "x-evil" not in answer.headers
        assert answer.headers["content-security-policy"].startswith("sandbox")

    @pytest.mark.parametrize(
        "name",
        ["..%2f..%2fetc%2fpasswd", "%2e%2e/x", "%252e%252e%252f", "a%00b", "a%5cb", "x" * 5000, "%ff", "%ed%a0%80"],
    )
    def test_a_name_is_never_a_path(self, server: Server, name: str) -> None:
        client = server.client()
        study = submit(client)
        answer = client.get(f"/v1/studies/{study}/artifacts/{name}")
        assert answer.status_code in (404, 422)
        assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_phase_and_progress_pass_through(server: Server) -> None:
    client = server.client()
    study = submit(client)
    with server.database.writing() as connection:
        studies.update(connection, study, phase="zzz", progress={"done": 1, "new": [1]})
    found = client.get(f"/v1/studies/{study}").json()
    assert (found["phase"], found["progress"]) == ("zzz", {"done": 1, "new": [1]})


def test_the_error_of_a_failed_study_says_who_must_act(server: Server) -> None:
    client = server.client()
    study = submit(client)
    server.move(study, expect="queued", to="running")
    error = {"code": "invalid-model", "blame": "user", "message": "x", "hint": "y"}
    server.move(study, expect="running", to="failed", error=error)
    assert client.get(f"/v1/studies/{study}").json()["error"] == error
