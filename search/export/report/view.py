"""Everything the template prints, as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text
from search.export.report.artifacts import Artifact, artifacts
from search.export.report.assignment import AssignmentView, OperatorRow, assignment_view
from search.export.report.charts import Chart, cost_plot, ladder
from search.export.report.findings import FindingRow, finding_rows
from search.export.report.layers_view import LayersView, layers_view
from search.export.report.map_view import MapView, map_view
from search.export.report.metrics import MetricRow, metric_rows, tightest_first
from search.export.report.provenance import provenance_rows
from search.export.report.sensitivity import SensitivityPanel, filtered_data, sensitivity_panels
from search.export.report.trials import marked
from search.export.report.verdict import Banner, Fact, facts, verdict
from search.records.result import OutputRecord, Result

_TRIAL_ROWS = 2000
"""Rows over all metrics: keeps the page within its size with many goals."""
_TWIN_ROWS = 500
"""Rows of the tables under map and layers; the files beside the report have all."""


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """The report, section by section."""

    title: str
    verdict: Banner
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
    findings: tuple[FindingRow, ...]
    artifacts: tuple[Artifact, ...]
    outputs: tuple[tuple[str, str, str, str], ...]
    calibration: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...] = ()

    @property
    def chart_data(self) -> dict[str, Any]:
        """Chart id to JSON value, for the page's script."""
        panels = [chart for panel in self.sensitivity for chart in (panel.bars, panel.curve)]
        found = {chart.id: chart.data for chart in (*self.ladders, *self.costs, *panels)}
        return found if self.layers is None else {**found, **self.layers.chart_data}


def report_view(
    result: Result,
    *,
    sensitivity: Sequence[Mapping[str, Any]],
    operators: Sequence[OperatorRow],
    views: Mapping[str, Mapping[str, Any]],
    model_name: str,
) -> ReportView:
    """Return the view of one finished search; see ``render_report`` for the arguments."""
    goals, unit = result.metrics, result.cost.unit
    front = {point.trial for point in result.front}
    limit = max(100, _TRIAL_ROWS // max(1, len(goals)))
    shown = marked(result.trials, chosen=result.chosen_trial, front=front, limit=limit)
    charted = tightest_first(goals)  # the first one is what the page opens with
    ladders = [ladder(goal, shown, key=str(index), unit=unit) for index, goal in enumerate(charted)]
    costs = [cost_plot(goal, shown, result.cost, key=str(index)) for index, goal in enumerate(charted)]
    return ReportView(
        title=text.clean(model_name, 80) if model_name else "Mixed-precision search",
        verdict=verdict(result),
        facts=facts(result),
        metrics=metric_rows(goals),
        ladders=tuple(chart for chart in ladders if chart is not None),
        costs=tuple(chart for chart in costs if chart is not None),
        n_trials=len(result.trials),
        n_trials_shown=len(shown),
        sensitivity=sensitivity_panels(sensitivity),
        sensitivity_data=filtered_data(sensitivity),
        n_sensitivity_tables=len({(row.get("output"), row.get("metric"), row.get("base")) for row in sensitivity}),
        map=map_view(views["map"], unit=unit, rows=_TWIN_ROWS) if "map" in views else None,
        layers=layers_view(views["layers"], rows=_TWIN_ROWS) if "layers" in views else None,
        assignment=assignment_view(operators, result.assignment),
        findings=finding_rows(result.findings),
        artifacts=artifacts(result.artifacts),
        outputs=_outputs(result.outputs),
        calibration=_calibration(result.calibration or {}),
        provenance=provenance_rows(result.provenance),
    )


def _outputs(outputs: Mapping[str, OutputRecord]) -> tuple[tuple[str, str, str, str], ...]:
    return tuple(
        (
            text.clean(name),
            text.clean(output.dtype, 20),
            "" if output.scale is None else text.clean(output.scale, 30),
            "" if output.zero_point is None else text.clean(output.zero_point, 30),
        )
        for name, output in list(outputs.items())[:200]
    )


def _calibration(calibration: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    labels = {"method_8": "8-bit method", "method_16": "16-bit method", "samples": "calibration samples"}
    return tuple(
        (label, text.count(value) if key == "samples" else text.clean(value, 40))
        for key, label in labels.items()
        if (value := calibration.get(key)) is not None
    )
