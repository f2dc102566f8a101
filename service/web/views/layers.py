"""Layers: float against quantized, layer by layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from search.export.report.layers_view import LayersView, layers_view
from service.store.db import artifacts
from service.usecases.studies.reading import read_file
from service.web.study_frame import Asked, StudyView

FILE = "layers.json"


@dataclass(frozen=True, kw_only=True)
class LayersPage:
    """The comparison, once it is delivered, and where a selected layer leads."""

    layers: LayersView | None
    links: Sequence[tuple[str, str]]
    is_final: bool


def build(asked: Asked) -> LayersPage:
    """Return the comparison of a study; there is none before it is delivered."""
    study = asked.study
    with asked.parts.database.reading() as connection:
        artifact = artifacts.get(connection, study.tenant_id, study.id, FILE)
    content = read_file(asked.parts.store, artifact)
    address = f"/studies/{study.id}"
    links = ((f"{address}/map", "Show in the map"), (f"{address}/sensitivity", "Sensitivity"))
    found = None if content is None else layers_view(json.loads(content))
    return LayersPage(layers=found, links=links, is_final=study.is_terminal)


VIEW = StudyView(key="layers", title="Layers", template="views/layers.html.j2", build=build, has_charts=True)
