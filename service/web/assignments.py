"""The assignment of a trial, group by group: asked for, given, why, and its share of the compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.export.report.assignment import OperatorRow
from service.store.db.trials import TrialRow
from service.usecases.studies.groups import GroupLine


def precisions_of(trial: TrialRow) -> tuple[str, ...]:
    """Return the effective precision of every group, in group order."""
    return tuple(map(str, (trial.detail or {}).get("effective") or ()))


def assignment_rows(trial: TrialRow, groups: Sequence[GroupLine]) -> list[OperatorRow]:
    """Return one row per group; groups go by number while nothing is known."""
    detail: Mapping[str, Any] = trial.detail or {}
    effective, requested = precisions_of(trial), detail.get("requested") or ()
    reasons: Mapping[str, Any] = detail.get("reasons") or {}
    total = sum(group.macs for group in groups)
    rows = []
    for no, precision in enumerate(effective):
        group = groups[no] if no < len(groups) else None
        rows.append(
            OperatorRow(
                name=f"group {no}" if group is None else group.name,
                op_type="" if group is None else group.op_type,
                group=f"g{no}",
                requested=requested[no] if no < len(requested) else precision,
                effective=precision,
                reason=reasons.get(str(no), ""),
                share=group.macs / total if group is not None and total else None,
            )
        )
    return rows
