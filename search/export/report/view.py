"""Everything the template prints, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text
from search.export.report.artifacts import Artifact, artifacts
from search.export.report.assignment import AssignmentView, assignment_view
from search.export.report.charts import Chart, cost_plot, ladder
from search.export.report.findings import Finding, findings
from search.export.report.layers_view import LayersView, layers_view
from search.export.report.map_view import MapView, map_view
from search.export.report.metrics import MetricRow, metric_rows, tightest_first
from search.export.report.sensitivity import SensitivityPanel, filtered_data, sensitivity_panels
from search.export.report.trials import read_trials
from search.export.report.verdict import Fact, Verdict, facts, verdict

_TRIAL_ROWS = 2000
"""Rows over all metrics: keeps the page within its size with many goals."""
_TWIN_ROWS = 500
"""Rows of the tables under map and layers; the files beside the report have all."""


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """The report, section by section."""

    title: str
    verdict: Verdict
    facts: tuple[Fact, ...]
    metrics: tuple[MetricRow, ...]
    ladders: tuple[Chart, ...]
    costs: tuple[Chart, ...]
    n_trials: int
    n_trials_shown: int
    sensitivity: tuple[SensitivityPanel, ...]
    sensitivity_data: Mapping[str, Any]
    n_sensitivity_tables: int
    map: MapView | None
    layers: LayersView | None
    assignment: AssignmentView
    findings: tuple[Finding, ...]
    artifacts: tuple[Artifact, ...]
    outputs: tuple[tuple[str, str, str, str], ...]
    calibration: tuple[tuple[str, str], ...]

    @property
    def chart_data(self) -> dict[str, Any]:
        """Chart id to JSON value, for the page's script."""
        panels = [chart for panel in self.sensitivity for chart in (panel.bars, panel.curve)]
        found = {chart.id: chart.data for chart in (*self.ladders, *self.costs, *panels)}
        return found if self.layers is None else {**found, **self.layers.chart_data}


def report_view(
    result: Mapping[str, Any],
    *,
    trials: Sequence[Mapping[str, Any]],
    sensitivity: Sequence[Mapping[str, Any]],
    qconfig: Sequence[Mapping[str, Any]],
    views: Mapping[str, Mapping[str, Any]],
    model_name: str,
) -> ReportView:
    """Return the view of one finished search; see ``render_report`` for the arguments."""
    metrics = list(result.get("metrics") or ())
    cost = result.get("cost") or {}
    shown = read_trials(result, trials, limit=max(100, _TRIAL_ROWS // max(1, len(metrics))))
    unit = str(cost.get("unit", "index"))
    charted = tightest_first(metrics)  # the first one is what the page opens with
    ladders = [ladder(metric, shown, key=str(index), unit=unit) for index, metric in enumerate(charted)]
    costs = [cost_plot(metric, shown, cost, key=str(index)) for index, metric in enumerate(charted)]
    return ReportView(
        title=text.clean(model_name, 80) if model_name else "Mixed-precision search",
        verdict=verdict(result),
        facts=facts(result),
        metrics=metric_rows(metrics),
        ladders=tuple(chart for chart in ladders if chart is not None),
        costs=tuple(chart for chart in costs if chart is not None),
        n_trials=len(trials),
        n_trials_shown=len(shown),
        sensitivity=sensitivity_panels(sensitivity),
        sensitivity_data=filtered_data(sensitivity),
        n_sensitivity_tables=len({(row.get("output"), row.get("metric"), row.get("base")) for row in sensitivity}),
        map=map_view(views["map"], unit=unit, rows=_TWIN_ROWS) if "map" in views else None,
        layers=layers_view(views["layers"], rows=_TWIN_ROWS) if "layers" in views else None,
        assignment=assignment_view((result.get("assignment") or {}), qconfig),
        findings=findings(result.get("findings") or ()),
        artifacts=artifacts(result.get("artifacts") or {}),
        outputs=_outputs(result.get("outputs") or {}),
        calibration=_calibration(result.get("calibration") or {}),
    )


def _outputs(outputs: Mapping[str, Any]) -> tuple[tuple[str, str, str, str], ...]:
    return tuple(
        (
            text.clean(name),
            text.clean(entry.get("dtype", ""), 20),
            "" if entry.get("scale") is None else text.clean(entry["scale"], 30),
            "" if entry.get("zero_point") is None else text.clean(entry["zero_point"], 30),
        )
        for name, entry in list(outputs.items())[:200]
    )


def _calibration(calibration: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    labels = {"method_8": "8-bit method", "method_16": "16-bit method", "samples": "calibration samples"}
    return tuple(
        (label, text.count(value) if key == "samples" else text.clean(value, 40))
        for key, label in labels.items()
        if (value := calibration.get(key)) is not None
    )
