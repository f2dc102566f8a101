"""Our ES modules and templates: the same files draw the report and the pages of the dashboard.

The report has one script and no address to import from, so its modules stand in one scope, one behind the other:
``bundle`` leaves out the imports between them and the word ``export``.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from search import export

VIEW_MODULES = (
    *("map_scene.js", "map_marks.js", "map_camera.js", "map.js"),
    *("picked.js", "layers.js", "sensitivity.js"),
)
SHARED = ("page.css", "views.css", "charts.js", "page.js", "selection.js", *VIEW_MODULES)
"""Files that the dashboard serves as they are."""
REPORT_MODULES = ("charts.js", "page.js", "selection.js", *VIEW_MODULES, "report.js")
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
_IMPORT = re.compile(r'^import \{[^}\n]*\} from "\./([\w.-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |function )", re.MULTILINE)
# Plotly's map library adds a style sheet unless an element with this id exists. No map is drawn here.
_MAP_STYLE = re.compile(r'getElementById\("([0-9a-f]{64})"\)')


@cache
def templates() -> Environment:
    """The templates of the report; the macros of ``parts.html.j2`` are the dashboard's too."""
    made = Environment(
        loader=PackageLoader(export.__name__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"data": embedded_json, "packed": packed_json}
    return made


def source(name: str) -> str:
    """Return the text of a style sheet or module."""
    return (files(export) / "templates" / name).read_text("utf-8")


def bundle(names: Sequence[str]) -> str:
    """Return modules as one.

    Args:
        names: Files, each behind those it imports from.

    Raises:
        ValueError: If a module imports from one that does not stand before it.
    """
    parts: list[str] = []
    for index, name in enumerate(names):
        text = source(name)
        if missing := sorted(set(_IMPORT.findall(text)) - set(names[:index])):
            raise ValueError(f"{name} imports from {', '.join(missing)}, which must stand before it.")
        parts.append(_EXPORT.sub("", _IMPORT.sub("", text)))
    return "\n".join(parts)


def unused_styles(plotly: str) -> tuple[str, ...]:
    """Return ids of styles that plotly would add by script; an element with the id prevents it."""
    return tuple(_MAP_STYLE.findall(plotly))


def embedded_json(value: Any) -> Markup:
    """Return ``value`` as JSON that is safe inside a script element.

    Raises:
        ValueError: If ``value`` holds NaN or an infinity.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_ESCAPES))  # noqa: S704  # no <, > or & is left


def packed_json(value: Any) -> Markup:
    """Return ``value`` as deflated JSON in base 64, which holds no mark a page could read: for large data.

    Raises:
        ValueError: If ``value`` holds NaN or an infinity.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(b64encode(zlib.compress(text.encode("utf-8", errors="replace"), 9)).decode())  # noqa: S704
