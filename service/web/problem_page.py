"""A refusal as a page, for people: the same words as the problem+json of the interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from search.export.report import text
from service.usecases.accounts.principal import Principal
from service.web.frame import Frame, answer


@dataclass(frozen=True, kw_only=True)
class ProblemPage:
    """What happened and what to do."""

    status: int
    code: str
    title: str
    detail: str
    hint: str
    request_id: str


def problem_page(scope: Scope, document: Mapping[str, Any]) -> Response:
    """Return the page of a problem; ``document`` is its problem+json."""
    principal = scope.get("state", {}).get("principal")
    known = isinstance(principal, Principal)
    page = ProblemPage(
        status=int(document["status"]),
        code=str(document["code"]),
        title=str(document["title"]),
        detail=text.sentence(document["detail"]),
        hint=text.sentence(document["hint"]),
        request_id=text.clean(document["request_id"]),
    )
    frame = Frame(
        title=page.title,
        may_submit=known and principal.may("submit"),
        is_signed_in=known and principal.session is not None,
        has_navigation=known,
    )
    return answer("problem.html.j2", frame, page, status=page.status)
