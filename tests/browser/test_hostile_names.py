"""Names from models, data and users are texts on every page: none becomes an element, a script or a request."""

from __future__ import annotations

import json

import pytest

from service.web.study_views import VIEWS
from tests.browser.conftest import Visit
from tests.browser.stages import FINDING, PROGRESS, RESULT, SENSITIVITY, TRIALS, detailed
from tests.browser.visiting import sign_in
from tests.service.api.serving import Server, submit
from tests.trial_rows import changed

pytestmark = pytest.mark.browser
NAMES = (
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    "javascript:document.title='owned'//\"' onfocus=document.title='owned' autofocus ",
    "{{ 7 * 7 }}{% raw %}<a href='https://example.invalid/x'>x</a><b style='color:red'>y</b>",
)


HOSTILE = "main img, main b[style], main a[href^=http], main a[href^=javascript]"


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_nothing_of_a_name_runs_or_loads(server: Server, visit: Visit, name: str) -> None:
    client = server.client()
    study = submit(client)
    client.patch(f"/v1/studies/{study}", json={"name": name[:200]})
    server.move(study, expect="queued", to="running")
    goal = f"top1@{name}"
    rows = [
        changed(detailed(row, name), stage=name, why=name, seen={goal: row.record.seen["top1@logits"]}, estimates={})
        for row in TRIALS
    ]
    server.add_trials(study, rows)
    findings = json.dumps({"findings": [{**FINDING, "code": name, "message": name, "advice": name, name: name}]})
    quoted = name.replace('"', '""')
    table = SENSITIVITY.replace("stem/conv", f'"{quoted}"').replace("logits,cosine", f'"{quoted}",cosine')
    server.deliver(
        study, {"result.json": findings.encode(), "sensitivity.csv": table.encode(), name.replace("/", "")[:80]: b"x"}
    )
    metric = {**RESULT["metrics"][0], "id": goal, "output": name, "reason": name}  # type: ignore[index]
    visitor = visit(server.url)
    sign_in(visitor, server)
    paths = [
        "/",
        f"/studies/{study}",
        f"/studies/{study}?trial={name}",
        f"/studies/{study}/trials/3",
        f"/submit?like={study}",
    ]
    paths += [f"/studies/{study}/{view.key}" for view in VIEWS] + [f"/compare?of={study}&of={study}:2"]
    for is_done in (False, True):
        if is_done:
            result = {**RESULT, "metrics": [metric]}
            server.move(study, expect="running", to="succeeded", outcome="met", result=result)
        for path in paths:
            page = visitor.go(path)
            page.wait_for_timeout(150)
            assert page.title().endswith("bitbudget")
            assert page.evaluate("hostile => document.querySelectorAll(hostile).length", HOSTILE) == 0
            assert page.evaluate("[...document.scripts].every((one) => one.src || one.type === 'application/json')")
    assert PROGRESS


def test_a_name_of_ten_megabytes_makes_no_large_page(server: Server, visit: Visit) -> None:
    study = submit(server.client())
    server.move(study, expect="queued", to="running")
    server.add_trials(study, [changed(detailed(TRIALS[0]), stage="s" * 10**7, why="w" * 10**7)])
    visitor = visit(server.url)
    sign_in(visitor, server)
    for path in (f"/studies/{study}", f"/studies/{study}/trials", f"/studies/{study}/trials/1"):
        page = visitor.go(path)
        assert len(page.content()) < 400_000
