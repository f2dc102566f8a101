"""Artifacts: the delivered files, to download, with their SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from search.export.report import text
from search.export.report.artifacts import PURPOSES
from service.store.db import artifacts
from service.web.study_frame import Asked, StudyView


@dataclass(frozen=True, kw_only=True)
class File:
    """One file; ``address`` is of the interface."""

    name: str
    address: str
    purpose: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class ArtifactsView:
    """All files by name."""

    files: tuple[File, ...]
    is_final: bool


def build(asked: Asked) -> ArtifactsView:
    """Return the files of a study."""
    study = asked.study
    with asked.parts.database.reading() as connection:
        found = artifacts.listing(connection, study.tenant_id, study.id)
    files = tuple(
        File(
            name=text.clean(one.name),
            address=f"/v1/studies/{study.id}/artifacts/{quote(one.name, safe='/', errors='replace')}",
            purpose=PURPOSES.get(one.name, ""),
            size=one.size,
            digest=one.digest,
        )
        for one in found
    )
    return ArtifactsView(files=files, is_final=study.is_terminal)


VIEW = StudyView(key="artifacts", title="Artifacts", template="views/artifacts.html.j2", build=build)
