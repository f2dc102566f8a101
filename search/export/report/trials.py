"""The trials of a search as the report shows them: numbered, marked as chosen or on the front.

A report stays small: above ``limit`` the trials that carry the argument (chosen, front, bounds) stay, then the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text

VERDICTS = ("met", "met so far", "missed", "rejected early", "fail")
_OTHER_WORDS = {
    "promising": "met so far",
    "not_met": "missed",
    "rejected": "rejected early",
    "infeasible": "fail",
}  # as elsewhere


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One evaluated assignment; ``values`` maps metric ids to values, None where there is none."""

    number: int
    stage: str
    cost: float | None
    samples: int | None
    n_samples: int | None
    values: Mapping[str, float | None]
    verdict: str
    why: str
    ratio: str
    chosen: bool
    front: bool
    bound: str

    @property
    def effort(self) -> str:
        """Samples that were run, out of how many if not all."""
        if self.samples is None or self.samples == self.n_samples or self.n_samples is None:
            return text.count(self.samples if self.samples is not None else self.n_samples)
        return f"{self.samples:,} of {self.n_samples:,}"


def read_trials(
    result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *, limit: int = 1000
) -> tuple[Trial, ...]:
    """Return the trials in the order they ran, at most ``limit`` of them."""
    chosen = _chosen_number(result, rows)
    front = {entry.get("trial") for entry in (result.get("front") or ())}
    trials = [
        _read(row, chosen=row.get("trial") == chosen and chosen is not None, front=row.get("trial") in front)
        for row in rows
    ]
    if len(trials) <= limit:
        return tuple(trials)
    weight = [not (trial.chosen or trial.front or trial.bound) for trial in trials]
    kept = sorted(range(len(trials)), key=lambda index: (weight[index], index))[:limit]
    return tuple(trials[index] for index in sorted(kept))


def _read(row: Mapping[str, Any], *, chosen: bool, front: bool) -> Trial:
    stage = str(row.get("stage") or "")
    key = stage.lower().replace("-", "_").replace(" ", "_")
    samples, n_samples = text.finite(row.get("samples")), text.finite(row.get("n_samples"))
    return Trial(
        number=int(row.get("trial", 0)),
        stage=text.words(stage),
        cost=text.finite(row.get("cost")),
        samples=None if samples is None else int(samples),
        n_samples=None if n_samples is None else int(n_samples),
        values={name: text.finite(value) for name, value in (row.get("values") or {}).items()},
        verdict=_verdict(str(row.get("verdict"))),
        why=text.sentence(row.get("why") or ""),
        ratio=_ratio(row.get("ratio")),
        chosen=chosen,
        front=front,
        bound=next((bound for bound in ("all_low", "all_high") if key.endswith(bound)), "").replace("_", "-"),
    )


def _verdict(word: str) -> str:
    known = _OTHER_WORDS.get(word, word)
    return known if known in VERDICTS else "missed"


def _ratio(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{text.clean(key, 40)} {_ratio(entry)}" for key, entry in list(value.items())[:6])
    if isinstance(value, (list, tuple)):
        return ", ".join(_ratio(entry) for entry in value[:6])
    if isinstance(value, str):
        return text.clean(value)
    number = text.finite(value)
    return "" if number is None else f"{number:.4g}"


def _chosen_number(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the trial whose cost and values are those of the chosen assignment, None if no trial fits."""
    cost = text.finite((result.get("cost") or {}).get("chosen"))
    wanted = {metric.get("id"): text.finite(metric.get("chosen")) for metric in (result.get("metrics") or ())}
    if cost is None or all(value is None for value in wanted.values()):
        return None
    same_cost = [row for row in rows if _close(text.finite(row.get("cost")), cost)]
    for row in same_cost:
        values = row.get("values") or {}
        if all(_close(text.finite(values.get(name)), value) for name, value in wanted.items()):
            return int(row["trial"])
    return next((int(row["trial"]) for row in same_cost if row.get("verdict") == "met"), None)


def _close(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-12)
