"""All trials of a study, in pages: filtered by verdict, in the order they ran or by cost."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from search.export.report import text
from search.export.report.trials import marked
from search.records.verdict import Verdict
from service.store.db import trials
from service.store.db.trials import ORDERS
from service.usecases.studies.results import chosen_of, cost_of, goals_seen
from service.web.study_frame import Asked, StudyView
from service.web.trial_lines import TrialEntry, entry

ROWS = 50
VERDICTS = {verdict.value: verdict.label for verdict in Verdict}
ORDER_WORDS = {"no": "first to last", "-no": "last to first", "cost": "cheapest first", "-cost": "dearest first"}


@dataclass(frozen=True, kw_only=True)
class TrialsView:
    """One page of the list."""

    entries: tuple[TrialEntry, ...]
    metrics: tuple[str, ...]
    verdicts: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, str], ...]
    verdict: str
    order: str
    next: str
    is_first: bool


def build(asked: Asked) -> TrialsView:
    """Return the trials that the query asks for."""
    study, query = asked.study, asked.query
    verdict = query.get("verdict", "") if query.get("verdict") in VERDICTS else ""
    order = query.get("order", "no") if query.get("order") in ORDERS else "no"
    with asked.parts.database.reading() as connection:
        page = trials.page(
            connection,
            study.tenant_id,
            study.id,
            order=order,
            verdict=verdict or None,
            cursor=query.get("cursor") or None,
            limit=ROWS,
        )
    records = tuple(row.record for row in page.rows)
    goals, unit = goals_seen(study, records), cost_of(study).unit
    shown = marked(records, chosen=chosen_of(study), limit=ROWS)
    return TrialsView(
        entries=tuple(entry(trial, goals, unit) for trial in shown),
        metrics=tuple(text.clean(goal.id) for goal in goals),
        verdicts=tuple(VERDICTS.items()),
        orders=tuple(ORDER_WORDS.items()),
        verdict=verdict,
        order=order,
        next="" if page.next is None else "?" + urlencode({"verdict": verdict, "order": order, "cursor": page.next}),
        is_first="cursor" not in query,
    )


VIEW = StudyView(key="trials", title="Trials", template="views/trials.html.j2", build=build)
