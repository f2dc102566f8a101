"""Trials for tests of everything that stores, serves and shows them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from search.records.trial import TrialRecord
from search.records.verdict import Verdict
from service.store.db.trials import TrialRow

_RECORD = frozenset(field.name for field in fields(TrialRecord))


def trial_record(no: int, **changes: Any) -> TrialRecord:
    """A complete trial that meets its goal."""
    usual: dict[str, Any] = {"digest": f"{no:064x}", "stage": "mix", "verdict": Verdict.MET, "cost": 1.0, "ratio": None}
    usual |= {"seen": {"top1@logits": 0.71}, "n_run": 10, "n_samples": 10, "seconds": 0.5, "why": ""}
    found = TrialRecord(no=no, **{**usual, **changes})
    return replace(found, verdict=Verdict(found.verdict))


def trial_row(no: int, *, detail: dict[str, Any] | None = None, **changes: Any) -> TrialRow:
    """The same as it is stored."""
    return TrialRow(trial_record(no, **changes), detail)


def changed(row: TrialRow, **changes: Any) -> TrialRow:
    """A stored trial with some fields of its record, or its detail, changed."""
    record = {name: value for name, value in changes.items() if name in _RECORD}
    return TrialRow(replace(row.record, **record), changes.get("detail", row.detail))
