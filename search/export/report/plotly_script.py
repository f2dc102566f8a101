"""The chart library's JavaScript: part of an installation; in a repository, where nothing is built, plotly's wheel."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.resources import files
from pathlib import Path

from search import export

NAME = "plotly.min.js"


@cache
def plotly_script() -> str:
    """Return the text of plotly.min.js.

    Raises:
        FileNotFoundError: If this is a repository without development tools.
    """
    packaged = files(export) / "templates" / NAME
    if packaged.is_file():
        return packaged.read_text("utf-8")
    spec = importlib.util.find_spec("plotly")  # found, not imported: its Python tree is not needed
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{NAME} is missing: install the development tools with pip install -e '.[all,dev]'.")
    return (Path(spec.origin).parent / "package_data" / NAME).read_text("utf-8")
