"""Style sheets and scripts, served under names that change with their content, so browsers keep them for ever.

    /static/<digest of all own files>/<name>      own modules: relative imports between them need no other names
    /static/<digest of plotly>/plotly.min.js      the chart library: stays the same when only ours change

A page names its files through ``address``; no other address is served.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import APIRouter, Request
from starlette.responses import Response

from search.export.report.modules import SHARED, source, unused_styles
from search.export.report.plotly_script import plotly_script
from service import web
from service.problems import not_found

router = APIRouter(include_in_schema=False)
PLOTLY = "plotly.min.js"
WORTH_PACKING = 1024
_KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """One file as it is sent; ``packed`` is its gzip."""

    data: bytes
    packed: bytes
    media_type: str


@dataclass(frozen=True)
class Bundle:
    """Files that change together."""

    digest: str
    files: Mapping[str, Asset]

    def address(self, name: str) -> str:
        """Return the path of a file.

        Raises:
            KeyError: If there is none of this name.
        """
        if name not in self.files:
            raise KeyError(name)
        return f"/static/{self.digest}/{name}"


@cache
def own() -> Bundle:
    """The files of this program."""
    found = {name: source(name).encode() for name in SHARED}
    root = files(web) / "static"
    for folder in ("", "views"):
        for entry in (root / folder).iterdir():
            if entry.is_file() and PurePosixPath(entry.name).suffix in _KINDS:
                found[f"{folder}/{entry.name}".lstrip("/")] = entry.read_bytes()
    return _bundle(found)


@cache
def plotly() -> Bundle:
    """The chart library."""
    return _bundle({PLOTLY: plotly_script().encode()})


@cache
def plotly_styles() -> tuple[str, ...]:
    """Ids of elements that keep plotly from adding styles by script."""
    return unused_styles(plotly_script())


def address(name: str) -> str:
    """Return the path at which a file is served.

    Raises:
        KeyError: If there is none of this name.
    """
    return plotly().address(name) if name == PLOTLY else own().address(name)


@router.get("/static/{digest}/{name:path}")
def asset(digest: str, name: str, request: Request) -> Response:
    """Send a file."""
    bundle = next((one for one in (own(), plotly()) if one.digest == digest), None)
    found = None if bundle is None else bundle.files.get(name)
    if found is None:
        raise not_found("file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    body = found.data
    if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = found.packed, "gzip"
    return Response(body, headers=headers, media_type=found.media_type)


def _bundle(found: Mapping[str, bytes]) -> Bundle:
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(found[name]).digest())
    return Bundle(digest.hexdigest()[:16], {name: _asset(name, data) for name, data in found.items()})


def _asset(name: str, data: bytes) -> Asset:
    packed = gzip.compress(data, 6, mtime=0) if len(data) >= WORTH_PACKING else b""
    return Asset(data, packed, _KINDS[PurePosixPath(name).suffix])
