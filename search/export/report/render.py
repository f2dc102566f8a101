"""Render the report: one HTML file without any outside resource.

Scripts and styles stand inside the page, and its Content-Security-Policy allows exactly these by SHA-256;
nothing else may run, load or connect. Data goes into a JSON block in which ``<``, ``>`` and ``&`` are written as
escapes of six characters, so no name can close the block or open a comment.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from search.export.report.assignment import OperatorRow
from search.export.report.modules import REPORT_MODULES, bundle, embedded_json, source, templates, unused_styles
from search.export.report.plotly_script import plotly_script
from search.export.report.view import report_view
from search.records.result import Result


def render_report(
    result: Result,
    *,
    sensitivity: Sequence[Mapping[str, Any]],
    operators: Sequence[OperatorRow],
    views: Mapping[str, Mapping[str, Any]] | None = None,
    model_name: str = "",
) -> str:
    """Return the report as the text of one HTML file.

    Args:
        result: What the study has to say.
        sensitivity: Rows with the columns of ``sensitivity.csv``; ``value`` is an error (larger is worse),
            ``flops_share`` a share of 1.
        operators: One row per operator.
        views: ``map`` and ``layers``: the values of ``precision_map.json`` and ``layers.json``; none before anything
            was delivered.
        model_name: Printed as the title.
    """
    view = report_view(result, sensitivity=sensitivity, operators=operators, views=views or {}, model_name=model_name)
    plotly = plotly_script()
    scripts = [inline(plotly), inline(bundle(REPORT_MODULES))]
    styles = [inline(source("page.css") + source("views.css"))]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            view=view,
            policy=content_security_policy(scripts=scripts, styles=styles),
            plotly=scripts[0],
            script=scripts[1],
            style=styles[0],
            data=embedded_json(view.chart_data),
            unused_styles=unused_styles(plotly),
        )
    )


def inline(source: str) -> Markup:
    """Return our own source as text that the template does not escape.

    Raises:
        ValueError: If the source could end its element early.
    """
    lowered = source.lower()
    for mark in ("</script", "</style", "<!--", "\r"):
        if mark in lowered:
            raise ValueError(f"An inlined source must not contain {mark!r}.")
    return Markup(source)  # noqa: S704  # never data: files of this package and plotly.min.js


def content_security_policy(*, scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return the policy that allows exactly these inline scripts and styles, and no request at all."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(_source_hash(script) for script in scripts)}",
            f"style-src {' '.join(_source_hash(style) for style in styles)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _source_hash(source: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
