"""The report as a file: one page, nothing from outside, nothing executes but our own scripts."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import zlib
from base64 import b64decode, b64encode
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from search.export.report.assignment import OperatorRow
from search.export.report.modules import embedded_json
from search.export.report.render import inline, render_report
from search.export.report.text import clean
from search.records.result import Result
from tests.export.report_example import (
    METRIC,
    example_qconfig,
    example_result,
    example_sensitivity,
    example_trials,
)
from tests.export.views_example import example_views

KINDS = {"ladder", "cost", "bars", "curve", "layers-depth", "layers-histogram"}
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "<!--<script>",
    "=cmd()",
    "{{ 7 * 7 }}",
    "\u202eevil\ud800\x00",
    "n" * 10_240,
)
VOID = {"meta", "link", "img", "br", "hr", "input"}


class _Page(HTMLParser):
    """Elements, attributes and text as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[tuple[str, dict[str, str], str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.elements.append((tag, values))
        if tag in ("script", "style"):
            self.bodies.append((tag, values, ""))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            tag, values, body = self.bodies[-1]
            self.bodies[-1] = (tag, values, body + data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def body(self, **wanted: str) -> str:
        return next(
            body for _, values, body in self.bodies if all(values.get(key) == value for key, value in wanted.items())
        )

    def values(self, name: str) -> list[str]:
        return [values[name] for _, values in self.elements if name in values]


def _render(
    result: dict[str, Any] | None = None,
    *,
    trials: list[dict[str, Any]] | None = None,
    sensitivity: list[dict[str, Any]] | None = None,
    qconfig: list[dict[str, Any]] | None = None,
    views: dict[str, dict[str, Any]] | None = None,
    model_name: str = "net.onnx",
) -> str:
    document = example_result() if result is None else result
    return render_report(
        Result.from_json({**document, "trials": document["trials"] if trials is None else trials}),
        sensitivity=example_sensitivity() if sensitivity is None else sensitivity,
        operators=[OperatorRow(**row) for row in (example_qconfig() if qconfig is None else qconfig)],
        views=example_views() if views is None else views,
        model_name=model_name,
    )


@cache
def _example() -> str:
    return _render()


def _policy(page: _Page) -> dict[str, list[str]]:
    content = next(v["content"] for _, v in page.elements if v.get("http-equiv") == "Content-Security-Policy")
    return {part.split()[0]: part.split()[1:] for part in content.split(";")}


def test_the_embedded_data_is_json_with_every_chart_of_the_page() -> None:
    page = _Page(_example())
    data = json.loads(page.body(id="report-data"))
    drawn = page.values("data-chart")
    assert sorted(data) == sorted(drawn)
    assert {chart["kind"] for chart in data.values()} == KINDS


def test_the_policy_allows_exactly_the_inline_scripts_and_styles_by_hash() -> None:
    page = _Page(_example())
    policy = _policy(page)
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for tag, values, body in page.bodies:
        if values.get("type") not in ("application/json", "text/plain"):
            hashes[tag].append(f"'sha256-{b64encode(hashlib.sha256(body.encode()).digest()).decode()}'")
    assert policy["script-src"] == hashes["script"]
    assert policy["style-src"] == hashes["style"]
    assert policy["default-src"] == ["'none'"]
    assert not any("unsafe" in source for sources in policy.values() for source in sources)


def test_a_goal_whose_bound_misses_is_met_and_said_to_be_unsure() -> None:
    result = example_result()
    assert "the bound misses</small>" not in _render(result)
    result["metrics"][0]["certainty"] = "bound_misses"
    shown = _render(result)
    assert '<span class="state fair">✓ met</span><small>the bound misses</small>' in shown
    assert "not evaluated</span>" not in shown


def test_no_style_or_handler_stands_in_an_attribute() -> None:
    names = {name for _, values in _Page(_example()).elements for name in values}
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = _Page(_example())
    assert page.values("src") == []
    assert "link" not in {tag for tag, _ in page.elements}
    assert all(href.startswith(("#", "./")) for href in page.values("href"))
    own = _example().replace(get_plotlyjs(), "")
    assert "http://" not in own
    assert "https://" not in own
    assert "url(" not in own
    assert "@import" not in own


def test_plotly_is_inlined_whole_and_the_page_stays_small() -> None:
    assert get_plotlyjs() in _example()
    assert len(_example().encode()) < 5_200_000


def test_the_page_can_be_read_by_a_screen_reader() -> None:
    page = _Page(_example())
    tags = [tag for tag, _ in page.elements]
    assert ("html", {"lang": "en"}) in page.elements
    assert tags.count("h1") == 1
    assert tags.count("main") == tags.count("header") == tags.count("footer") == tags.count("nav") == 1
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    pointed = [
        one for name in ("aria-labelledby", "aria-describedby", "for") for v in page.values(name) for one in v.split()
    ]
    assert set(pointed) <= set(ids)
    assert {href[1:] for href in page.values("href") if href.startswith("#")} <= set(ids)
    for _, values in page.elements:
        if "data-chart" in values:
            assert values["role"] == "img"
    for tag, values in page.elements:
        assert tag != "svg" or values.get("aria-hidden") == "true" or values["aria-label"]


def test_every_chart_has_a_table_twin() -> None:
    page = _Page(_example())
    tags = [tag for tag, _ in page.elements]
    assert tags.count("details") == tags.count("figure") == len(page.values("data-chart")) + 1  # the map has no plotly
    assert set(page.values("data-csv")) == {*page.values("data-chart"), "map"}
    for trial in example_trials():
        assert trial["why"] in page.text


def _with_names(name: str) -> str:
    result, trials = example_result(), example_trials()
    sensitivity, qconfig = example_sensitivity(50), example_qconfig()
    result["metrics"][0].update(id=name, output=name, reason=name)
    result.update(target=name, toolchain=name, strategy=name, verified=name)
    evidence = {name: name, "nodes": [name]}
    result["findings"] = [{"code": name, "severity": "note", "message": name, "advice": name, "evidence": evidence}]
    result["artifacts"] = {name: name, "script": "javascript:alert(1)", "up": "../../etc/passwd"}
    result["outputs"] = {name: {"dtype": name, "scale": 0.5, "zero_point": 1}}
    result["calibration"] = {"method_8": name, "samples": name}
    result["assignment"] = {name: {"role": "fused", "into": name, "why": name, "precision": name}}
    for trial in trials:
        trial.update(stage=name, why=name)
        for key in ("seen", "estimates"):
            trial[key] = {name: one for one in trial[key].values()}  # noqa: B035
    for row in sensitivity:
        row.update(dict.fromkeys(("output", "metric", "base", "op_name", "op_type", "dtype", "group"), name))
    for row in qconfig:
        row.update(dict.fromkeys(("name", "op_type", "group", "reason", "requested"), name))
    views = example_views(name=name)
    return _render(result, trials=trials, sensitivity=sensitivity, qconfig=qconfig, views=views, model_name=name)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_adds_no_element_no_handler_and_no_script(name: str) -> None:
    html = _with_names(name)
    html.encode()
    page = _Page(html)
    scripts = [values.get("type") for tag, values, _ in page.bodies if tag == "script"]
    assert scripts == ["text/plain"] * 3 + ["application/json", None, "module"]  # views, charts, plotly, our own
    for _, values, body in page.bodies:
        if "data-packed" in values:
            assert re.fullmatch(r"[A-Za-z0-9+/=]+", body)
            json.loads(zlib.decompress(b64decode(body)))
    assert not {"img", "iframe", "object", "base", "form", "link"} & {tag for tag, _ in page.elements}
    assert not [key for _, values in page.elements for key in values if key.startswith("on")]
    assert all(href.startswith(("#", "./")) and ".." not in href for href in page.values("href"))
    assert not any(":" in href for href in page.values("href"))
    embedded = page.body(id="report-data")
    assert not set("<>&") & set(embedded)
    json.loads(embedded)
    assert " ".join(clean(name).split()) in page.text
    assert len(html.encode()) < 5_600_000


def test_a_name_of_any_length_is_shortened_but_recognisable() -> None:
    rows = [{**example_qconfig()[0], "name": "stem" + "n" * 10_240 + "tail"}]
    page = _Page(_render(qconfig=rows))
    assert re.search(r"\bstemn{50,}…n{20,}tail\b", page.text)


def test_a_study_of_three_hundred_trials_stays_below_eight_megabytes() -> None:
    result, base = example_result(), example_trials()
    result["metrics"] = [{**copy.deepcopy(result["metrics"][0]), "id": f"metric{i}@output{i}"} for i in range(6)]
    trials = [
        {
            **base[n % 12],
            "no": n + 1,
            "estimates": {},
            "seen": {f"metric{i}@output{i}": 0.9 for i in range(6)},
            "why": "w" * 120,
        }
        for n in range(300)
    ]
    sensitivity = [{**row, "output": f"output{i}"} for i in range(4) for row in example_sensitivity(2000)]
    qconfig = [{**example_qconfig()[2], "name": f"stage.{n}.block.conv.{'x' * 60}"} for n in range(1500)]
    views = example_views(1500, n_trials=300)
    html = _render(result, trials=trials, sensitivity=sensitivity, qconfig=qconfig, views=views)
    assert len(html.encode()) < 8_000_000


def test_fidelity_metrics_without_a_float_value_are_shown() -> None:
    result = example_result()
    result["metrics"][0].update(
        id="cosine@logits", float=None, required=0.99, chosen=0.9931, qdq=0.9932, difference=None
    )
    text = _Page(_render(result)).text
    assert "cosine@logits higher is better – ≥ 0.9900 0.9931" in text


def test_a_run_without_evaluation_data_says_so() -> None:
    result = example_result()
    result.update(outcome="not_evaluated", front=[])
    result["metrics"][0].update(
        dict.fromkeys(("float", "required", "chosen", "qdq", "qdq_unoptimized", "interval", "difference", "n_samples")),
        reason="random calibration data",
    )
    page = _Page(_render(result, trials=[], sensitivity=[], qconfig=[], views={}))
    assert page.text.count("Nothing was delivered") == 2
    assert "Not evaluated" in page.text
    assert "no accuracy is known" in page.text
    assert "random calibration data" in page.text
    assert "No sensitivity was measured" in page.text
    assert json.loads(page.body(id="report-data")) == {}


def test_a_run_without_a_complete_trial_is_shown() -> None:
    result = example_result()
    result.update(
        outcome="not_met", stopped="time", assignment={}, artifacts={}, front=[], findings=[], calibration=None
    )
    result["metrics"][0].update(chosen=None, qdq=None, interval=None, difference=None, n_samples=None)
    result["cost"].update(chosen=None, all_high=None)
    text = _Page(_render(result, trials=[], sensitivity=[], qconfig=[])).text
    assert "Goal not met" in text
    assert "No trial was completed" in text
    assert "ended early by the time limit" in text
    assert "No files were delivered" in text


def test_a_missed_goal_shows_the_shortfall_of_the_worse_evaluator() -> None:
    result = example_result()
    result["outcome"] = "not_met"
    result["metrics"][0].update(chosen=0.9051, qdq=0.9031)
    text = _Page(_render(result)).text
    assert "top1@logits falls short by 0.0022" in text
    assert "✕ missed by 0.0022" in text


def test_estimates_say_estimate_and_every_accuracy_has_its_interval_and_samples() -> None:
    text = _Page(_example()).text
    assert "Cost index estimate 1.070" in text
    assert "80 % of it from assumed coefficients" in text
    assert "0.9101 in integers 95 %: 0.8968 to 0.9219 n = 2,000" in text
    assert "0.9104 +0.0003 to chosen" in text
    assert "−0.0052 95 %: −0.0098 to −0.0006" in text


def test_a_fitted_cost_is_shown_in_microseconds() -> None:
    result = example_result()
    result["cost"].update(unit="us", source="measured", chosen=412.4, all_low=400.0, all_high=800.0, assumed_share=0.0)
    text = _Page(_render(result)).text
    assert "Latency fitted to measurements 412.4 µs" in text


def test_numbers_that_json_cannot_carry_do_not_reach_the_page() -> None:
    trials = example_trials()
    trials[0]["seen"] = {METRIC: float("nan")}
    trials[1]["cost"] = float("inf")
    sensitivity = example_sensitivity(5)
    sensitivity[0]["value"] = float("nan")
    text = _Page(_render(trials=trials, sensitivity=sensitivity)).text
    assert "nan" not in text.lower().replace("finance", "")
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json({"value": float("nan")})


def test_the_same_input_gives_the_same_page() -> None:
    assert _render() == _example()


@pytest.mark.parametrize("mark", ["</script", "</SCRIPT", "<!--", "</style", "\r"])
def test_a_source_that_could_end_its_element_is_refused(mark: str) -> None:
    with pytest.raises(ValueError, match="must not contain"):
        inline(f"let a = '{mark}'")
