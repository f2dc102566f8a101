"""The frame of every page: templates, headers, navigation. A page is a template and one frozen value it prints.

No script and no style stands in a page: ``POLICY`` lets only files of this server run, so a name that looks like a
script stays a text. Data for scripts stands in blocks of JSON, which no browser runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from search.export.report import text
from search.export.report.modules import embedded_json
from search.export.report.modules import templates as report_templates
from service import web
from service.usecases.accounts.principal import Principal
from service.web.assets import PLOTLY, address, plotly_styles

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is around a page.

    Attributes:
        title: Of the window, without the program's name.
        section: Entry of the navigation it belongs to: ``studies | new | compare | system``, or empty.
        has_charts: Whether plotly is loaded.
        may_submit: Whether the reader may submit and steer.
        is_signed_in: Whether there is a login to end.
        has_navigation: False on the login page.
    """

    title: str
    section: str = ""
    has_charts: bool = False
    may_submit: bool = False
    is_signed_in: bool = False
    has_navigation: bool = True


def frame_for(principal: Principal, title: str, section: str = "", *, has_charts: bool = False) -> Frame:
    """Return the frame of a page for somebody."""
    return Frame(
        title=title,
        section=section,
        has_charts=has_charts,
        may_submit=principal.may("submit"),
        is_signed_in=principal.session is not None,
    )


def answer(template: str, frame: Frame, page: Any, *, status: int = 200) -> HTMLResponse:
    """Return a page: ``page`` is the frozen value that the template prints."""
    body = environment().get_template(template).render(frame=frame, page=page)
    return HTMLResponse(body.encode("utf-8", errors="replace"), status_code=status, headers=headers())


def headers() -> dict[str, str]:
    """Headers of every page: it may be kept by nobody, and its links say nothing to others."""
    return {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "Vary": "Cookie",
        "Referrer-Policy": "same-origin",  # with no-referrer, browsers send own forms with "Origin: null"
    }


@cache
def environment() -> Environment:
    """The templates: own ones first, then the parts shared with the report."""
    shared = report_templates()
    made = Environment(
        loader=ChoiceLoader([PackageLoader(web.__name__, "templates"), shared.loader]),  # type: ignore[list-item]
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"asset": address, "plotly_file": PLOTLY, "plotly_styles": plotly_styles}
    made.filters |= {
        "data": embedded_json,
        "clean": text.clean,
        "figure": text.figure,
        "count": text.count,
        "seconds": text.seconds,
        "percent": text.percent,
        "size": size,
        "moment": moment,
        "iso": datetime.isoformat,
    }
    return made


def moment(at: datetime | None) -> str:
    """Return a time as people write it, in UTC."""
    return text.MISSING if at is None else f"{at.day} {at:%b %Y, %H:%M} UTC"


def size(n_bytes: float | None) -> str:
    """Return a size in the unit a reader would use."""
    if n_bytes is None:
        return text.MISSING
    amount = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
