"""Findings: what was noticed about model, data and search, with the numbers behind it and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from search.export.report.findings import FindingRow, finding_rows
from service.store.db import artifacts
from service.usecases.studies.reading import RESULT, findings_in, read_file
from service.web.study_frame import Asked, StudyView


@dataclass(frozen=True, kw_only=True)
class FindingsView:
    """All findings; more may come until the study has ended."""

    findings: tuple[FindingRow, ...]
    is_final: bool


def build(asked: Asked) -> FindingsView:
    """Return the findings of a study."""
    study = asked.study
    with asked.parts.database.reading() as connection:
        artifact = artifacts.get(connection, study.tenant_id, study.id, RESULT)
    found = findings_in(read_file(asked.parts.store, artifact))
    return FindingsView(findings=finding_rows(found), is_final=study.is_terminal)


VIEW = StudyView(key="findings", title="Findings", template="views/findings.html.j2", build=build)
