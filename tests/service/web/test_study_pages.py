"""What pages print is what the interface answers: no number of their own."""

import json
from pathlib import Path

import pytest

from search.export.report import text
from service.store.db import items, studies
from tests.service.api.serving import Server, spec_for, submit, trial
from tests.service.store.db.rows import item
from tests.service.web.reading import looking, read
from tests.trial_rows import changed

GOAL = {"id": "top1@logits", "direction": "higher", "float": 0.75, "required": 0.74}
METRIC = {
    **GOAL,
    "name": "top1",
    "output": "logits",
    "evaluator": "integer",
    "chosen": 0.7417,
    "qdq": 0.7421,
    "interval": [0.7122, 0.7694],
    "interval_method": "wilson",
    "n_samples": 900,
    "difference": {"value": -0.0083, "interval": [-0.0141, -0.0022], "method": "newcombe_paired"},
}
RESULT = {
    "outcome": "met",
    "stopped": None,
    "metrics": [METRIC],
    "cost": {
        "unit": "index",
        "chosen": 1.132,
        "all_low": 1.0,
        "all_high": 1.941,
        "source": "assumed",
        "assumed_share": 0.8,
    },
    "search": {"evaluations": 3, "full_set_equivalents": 2.4, "seconds": 61.2, "float_evaluation_seconds": 9.1},
}


def search_of(server: Server, study: str) -> None:
    """Three trials: both bounds and what lies between."""
    rows = [
        trial(1, 1.941, 0.75),
        trial(2, 1.0, 0.71, "not_met"),
        changed(trial(3, 1.132, 0.7417), ratio=0.125, n_run=900, n_samples=900, why="rows 12"),
    ]
    server.add_trials(study, rows)


def finished(server: Server) -> str:
    study = submit(server.client())
    search_of(server, study)
    server.finish(study, result=RESULT)
    return study


def test_the_list_prints_outcome_cost_and_accuracy_with_interval_and_samples(server: Server) -> None:
    study = finished(server)
    (line,) = server.client().get("/v1/studies").json()["items"]
    metric = line["result"]["metrics"][0]
    page = read(looking(server), "/")
    shown = [
        text.cost(line["result"]["cost"]["chosen"]),
        text.figure(metric["chosen"]),
        text.interval(metric["interval"]),
    ]
    for told in ("goal met", line["target"], "estimate", *shown, f"n = {metric['n_samples']}"):
        assert told in page.text, told
    assert f"/studies/{study}" in page.values("href", "a")


def test_the_overview_prints_the_verdict_of_the_result(server: Server) -> None:
    study = finished(server)
    shape = server.client().get(f"/v1/studies/{study}").json()
    metric, cost = shape["result"]["metrics"][0], shape["result"]["cost"]
    page = read(looking(server), f"/studies/{study}")
    assert "Goal met" in page.text
    for value in (metric["float"], metric["required"], metric["chosen"], metric["qdq"]):
        assert text.figure(value) in page.text
    assert text.interval(metric["difference"]["interval"], signed=True) in page.text
    assert text.cost(cost["chosen"]) in page.text
    assert "verified by the integer simulator" in page.text


def test_every_trial_is_told_with_the_numbers_of_the_interface(server: Server) -> None:
    study = finished(server)
    page = read(looking(server), f"/studies/{study}")
    for one in server.client().get(f"/v1/studies/{study}/trials").json()["items"]:
        value, limits = one["seen"]["top1@logits"], one["intervals"]["top1@logits"]
        for told in (text.figure(value), text.interval((limits["low"], limits["high"])), text.cost(one["cost"])):
            assert told in page.text, one["no"]
        own = read(looking(server), f"/studies/{study}/trials/{one['no']}")
        assert f"Trial {one['no']}" in own.text
        assert text.interval((limits["low"], limits["high"])) in own.text
    charts = json.loads(next(body for values, body in page.scripts if "data-charts" in values))
    assert [point["y"] for point in charts["ladder-0"]["points"]] == [0.75, 0.71, 0.7417]
    assert charts["cost-0"]["front"] == [2, 3, 1]


def test_a_running_study_tells_phase_progress_goal_and_what_it_found_so_far(server: Server) -> None:
    study = submit(server.client())
    server.move(study, expect="queued", to="running")
    search_of(server, study)
    progress = {"task": "evaluate an assignment", "completed": 2, "total": 8, "unit": "items", "trials": 3}
    progress |= {"goals": [GOAL], "cost": {"unit": "index", "all_low": 1.0, "all_high": 1.941}, "n_samples": 900}
    with server.database.writing() as connection:
        studies.update(connection, study, phase="search", progress=progress)
    page = read(looking(server), f"/studies/{study}")
    for told in ("Evaluate an assignment", "evaluate an assignment, 2 of 8", "rows 12", "+0.0017", "ratio 0.125"):
        assert told in page.text, told
    assert page.values("value", "progress") == ["25.0"]
    charts = json.loads(next(body for values, body in page.scripts if "data-charts" in values))
    assert [line["y"] for line in charts["ladder-0"]["lines"]] == [0.74, 0.75]
    part = read(looking(server), f"/studies/{study}/live")
    assert "2 of 8" in part.text
    assert "html" not in {tag for tag, _ in part.elements}


@pytest.mark.parametrize(
    ("state", "told"), [("queued", "Waiting for a worker"), ("paused", "Paused"), ("cancelled", "was cancelled before")]
)
def test_every_state_says_what_it_means(server: Server, state: str, told: str) -> None:
    study = submit(server.client())
    if state != "queued":
        server.move(study, expect="queued", to=state)
    assert told in read(looking(server), f"/studies/{study}").text


def test_a_failed_study_says_why_and_what_to_do(server: Server) -> None:
    study = submit(server.client())
    error = {"code": "invalid-data", "blame": "user", "message": "Labels are missing.", "hint": "Add them."}
    server.move(study, expect="queued", to="failed", error=error)
    for path in ("/", f"/studies/{study}"):
        assert "Labels are missing." in read(looking(server), path).text
    assert "Add them." in read(looking(server), f"/studies/{study}").text


def test_a_long_study_shows_its_first_and_newest_trials_and_says_so(server: Server) -> None:
    study = submit(server.client())
    server.add_trials(study, [trial(no, 1 + no / 1000, 0.7) for no in range(1, 701)])
    page = read(looking(server), f"/studies/{study}")
    assert "608 of 700 trials" in page.text
    shown = page.values("data-trial", "tr")
    assert (len(shown), shown[0], shown[7], shown[-1]) == (108, "1", "8", "700")
    first = read(looking(server), f"/studies/{study}/trials?order=-cost")
    assert first.values("data-trial", "tr")[0] == "700"
    following = next(href for href in first.values("href", "a") if "cursor=" in href)
    assert read(looking(server), f"/studies/{study}/trials{following}").values("data-trial", "tr")[0] == "650"


def test_groups_have_their_names_on_the_page_of_a_trial(server: Server, network_json: dict[str, object]) -> None:
    study = submit(server.client())
    detail = {"effective": ["a16w8"], "requested": ["a8w8"], "reasons": {"0": "rule x"}}
    row = changed(trial(1, 1.0, 0.7), detail=detail)
    server.add_trials(study, [row])
    tenant = server.tenant()
    with server.database.writing() as connection:
        result = item("check", kind="check", data={"network": network_json})
        items.put(connection, study_id=study, tenant_id=tenant, result=result)
    (group,) = server.client().get(f"/v1/studies/{study}/groups").json()["items"]
    page = read(looking(server), f"/studies/{study}/trials/1")
    assert group["name"] in page.text
    assert "a8w8 → a16w8" in page.text
    assert "rule x" in page.text


def test_findings_and_files_are_those_of_the_interface(server: Server) -> None:
    study = submit(server.client())
    found = [{"code": "few-samples", "severity": "warning", "message": "Only 12 samples.", "advice": "Take more."}]
    server.deliver(study, {"result.json": json.dumps({"findings": found}).encode(), "trials.csv": b"x"})
    page = read(looking(server), f"/studies/{study}/findings")
    for told in ("few-samples", "Only 12 samples.", "Take more."):
        assert told in page.text
    files = read(looking(server), f"/studies/{study}/artifacts")
    for one in server.client().get(f"/v1/studies/{study}/artifacts").json()["items"]:
        assert f"/v1/studies/{study}/artifacts/{one['name']}" in files.values("href", "a")
        assert one["digest"] in files.values("data-copy", "button")


def test_what_nobody_may_do_is_not_offered(server: Server, tmp_path: Path) -> None:
    study = finished(server)
    for path in ("/", f"/studies/{study}"):
        reader, writer = (read(looking(server, scope), path) for scope in ("read", "submit"))
        assert not reader.values("data-action", "button")
        assert not [href for href in reader.values("href", "a") if href.startswith("/submit")]
        assert writer.values("data-action", "button") == ["delete"]
    assert looking(server, "read").get("/submit").status_code == 403


def test_the_form_begins_like_an_earlier_study(server: Server) -> None:
    client = server.client()
    spec = spec_for(client, search={"strategy": "optuna", "seed": 7}, goal=[{"metric": "top5", "max_drop": 0.02}])
    study = client.post("/v1/studies", json=spec).json()["id"]
    page = read(looking(server), f"/submit?like={study}")
    base = json.loads(next(body for values, body in page.scripts if "data-json" in values))["base"]
    assert base["model"] == spec["model"]
    assert base["search"] == {"strategy": "optuna", "seed": 7}
    assert base["goal"] == [{"metric": "top5", "max_drop": 0.02}]
    assert read(looking(server, tenant="other"), f"/submit?like={study}", status=404)
