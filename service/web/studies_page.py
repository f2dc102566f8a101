"""The list of studies: filters, pages, and what may be done with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from search.targets.document import target_names
from service.http.context import MAX_CURSOR, PartsDep, Reader
from service.store.db import studies
from service.store.db.schema import OUTCOMES, STUDY_STATES
from service.store.db.studies import StudyFilter
from service.web.frame import answer, frame_for
from service.web.study_lines import OUTCOMES as OUTCOME_WORDS
from service.web.study_lines import StudyHead, heads_of

router = APIRouter(include_in_schema=False)
ROWS = 25
Choice = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the list is cut down to; empty = all."""

    state: str
    outcome: str
    target: str
    name: str

    @property
    def is_any(self) -> bool:
        """Whether anything is left out."""
        return any((self.state, self.outcome, self.target, self.name))


@dataclass(frozen=True, kw_only=True)
class StudiesPage:
    """The list.

    Attributes:
        studies: Newest first.
        filters: As asked for.
        next: Address of the next page; empty at the end.
        is_first: Whether this is the first page: only it refreshes by itself.
    """

    studies: tuple[StudyHead, ...]
    filters: Filters
    states: tuple[str, ...]
    outcomes: tuple[tuple[str, str], ...]
    targets: tuple[str, ...]
    next: str
    is_first: bool


@router.get("/")
def studies_page(
    *,
    parts: PartsDep,
    principal: Reader,
    state: Choice = "",
    outcome: Choice = "",
    target: Choice = "",
    name: Choice = "",
    cursor: Annotated[str, Query(max_length=MAX_CURSOR)] = "",
) -> Response:
    """Show the tenant's studies."""
    filters = Filters(
        state=state if state in STUDY_STATES else "",
        outcome=outcome if outcome in OUTCOMES else "",
        target=target if target in target_names() else "",
        name=name,
    )
    wanted = StudyFilter(
        states=(filters.state,) if filters.state else (),
        outcome=filters.outcome or None,
        target=filters.target or None,
        name=filters.name or None,
    )
    with parts.database.reading() as connection:
        found = studies.page(connection, principal.tenant_id, wanted, cursor=cursor or None, limit=ROWS)
    page = StudiesPage(
        studies=heads_of(found.rows),
        filters=filters,
        states=STUDY_STATES,
        outcomes=tuple(OUTCOME_WORDS.items()),
        targets=tuple(target_names()),
        next=_address(filters, found.next),
        is_first=not cursor,
    )
    return answer("studies.html.j2", frame_for(principal, "Studies", "studies"), page)


def _address(filters: Filters, cursor: str | None) -> str:
    if cursor is None:
        return ""
    chosen = {name: value for name, value in vars(filters).items() if value}
    return "/?" + urlencode({**chosen, "cursor": cursor})
