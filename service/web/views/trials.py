"""All trials of a study, in pages: filtered by verdict, in the order they ran or by cost."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from search.export.report import text
from search.export.report.trials import read_trials
from service.store.db import trials
from service.store.db.trials import ORDERS
from service.web.study_frame import Asked, StudyView
from service.web.trial_lines import TrialEntry, as_line, entry, judged

ROWS = 50
VERDICTS = {"met": "met", "not_met": "missed", "promising": "met so far", "rejected": "rejected early", "fail": "fail"}
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
    facts = judged(study)
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
    metrics = facts.metrics or tuple({"id": name} for name in dict.fromkeys(n for r in page.rows for n in r.values))
    shown = read_trials(
        {"metrics": metrics, "cost": facts.cost}, [as_line(row, facts.n_samples) for row in page.rows], limit=ROWS
    )
    return TrialsView(
        entries=tuple(entry(one, row, metrics, facts.unit) for one, row in zip(shown, page.rows, strict=True)),
        metrics=tuple(text.clean(metric.get("id")) for metric in metrics),
        verdicts=tuple(VERDICTS.items()),
        orders=tuple(ORDER_WORDS.items()),
        verdict=verdict,
        order=order,
        next="" if page.next is None else "?" + urlencode({"verdict": verdict, "order": order, "cursor": page.next}),
        is_first="cursor" not in query,
    )


VIEW = StudyView(key="trials", title="Trials", template="views/trials.html.j2", build=build)
