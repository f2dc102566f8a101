"""Precision map: the network drawn with the precision of every group."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from search.export.report.map_view import MapView, map_view
from service.store.db import artifacts
from service.usecases.studies.reading import read_file
from service.usecases.studies.results import cost_of
from service.web.study_frame import Asked, StudyView

FILE = "precision_map.json"


@dataclass(frozen=True, kw_only=True)
class MapPage:
    """The map, once it is delivered, and where a selected group leads."""

    map: MapView | None
    links: Sequence[tuple[str, str]]
    is_final: bool


def build(asked: Asked) -> MapPage:
    """Return the map of a study; there is none before it is delivered."""
    study = asked.study
    with asked.parts.database.reading() as connection:
        artifact = artifacts.get(connection, study.tenant_id, study.id, FILE)
    content = read_file(asked.parts.store, artifact)
    found = None if content is None else map_view(json.loads(content), unit=cost_of(study).unit)
    address = f"/studies/{study.id}"
    links = ((f"{address}/layers", "Layers"), (f"{address}/sensitivity", "Sensitivity"))
    return MapPage(map=found, links=links, is_final=study.is_terminal)


VIEW = StudyView(key="map", title="Precision map", template="views/map.html.j2", build=build)
