"""What all pages of one study have in common: its head, its tabs, and the two arguments a view is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from service.http.context import Parts
from service.store.db.studies import Study
from service.usecases.accounts.principal import Principal
from service.web.study_lines import StudyHead, head_of


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a view.

    Attributes:
        parts: Of the server.
        principal: Who asks; may see the study.
        study: Its row.
        query: What the address selects, e.g. ``{"trial": "12"}``; hostile.
    """

    parts: Parts
    principal: Principal
    study: Study
    query: Mapping[str, str]


Build: TypeAlias = Callable[[Asked], Any]


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """One view.

    Attributes:
        key: Last part of its address, ``/studies/<id>/<key>``.
        title: Of its tab.
        template: Extends ``study.html.j2`` and fills its block ``view``; prints ``page.view``.
        build: Returns ``page.view``, a frozen value.
        has_charts: Whether plotly is loaded.
    """

    key: str
    title: str
    template: str
    build: Build
    has_charts: bool = False


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One entry of the study's navigation."""

    title: str
    address: str
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class StudyPage:
    """A page of a study: ``view`` is what the template of the view prints."""

    study: StudyHead
    tabs: tuple[Tab, ...]
    view: Any


def study_page(study: Study, views: tuple[StudyView, ...], current: str, view: Any) -> StudyPage:
    """Return a page; ``current`` is the key of its view, empty for the overview."""
    head = head_of(study)
    keys = [("", "Overview"), *((one.key, one.title) for one in views)]
    tabs = tuple(
        Tab(title=title, address=f"{head.address}/{key}".rstrip("/"), is_current=key == current) for key, title in keys
    )
    return StudyPage(study=head, tabs=tabs, view=view)
