"""Sensitivity: how much every point alone costs at low precision, with the charts of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report.sensitivity import SensitivityPanel, filtered_data, sensitivity_panels
from service.store.db import artifacts
from service.usecases.studies.reading import SENSITIVITY, read_file, read_table
from service.web.study_frame import Asked, StudyView


@dataclass(frozen=True, kw_only=True)
class SensitivityView:
    """One panel per output, metric and base."""

    panels: tuple[SensitivityPanel, ...]
    data: Mapping[str, Any]
    links: Sequence[tuple[str, str]]
    is_final: bool

    @property
    def chart_data(self) -> dict[str, Any]:
        """Chart id to its data."""
        return {chart.id: chart.data for panel in self.panels for chart in (panel.bars, panel.curve)}


def build(asked: Asked) -> SensitivityView:
    """Return the tables of a study; there are none before they are delivered."""
    study = asked.study
    with asked.parts.database.reading() as connection:
        artifact = artifacts.get(connection, study.tenant_id, study.id, SENSITIVITY)
    content = read_file(asked.parts.store, artifact)
    rows = [] if content is None else read_table(content)
    address = f"/studies/{study.id}"
    return SensitivityView(
        panels=sensitivity_panels(rows),
        data=filtered_data(rows),
        links=((f"{address}/map", "Show in the map"), (f"{address}/layers", "Layers")),
        is_final=study.is_terminal,
    )


VIEW = StudyView(
    key="sensitivity",
    title="Sensitivity",
    template="views/sensitivity.html.j2",
    build=build,
    has_charts=True,
)
