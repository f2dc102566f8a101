"""How a spec names its inputs over REST: no path and no URL ever, only what the server holds or knows.

sha256:<hex>   models/<id>   datasets/<id>   connection://<name>/<path>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from search.spec.job import RANDOM, JobSpec
from service.problems import Pointer
from service.store.db.ids import is_id
from service.store.names import path_problems

Place: TypeAlias = Literal["blob", "models", "datasets", "connection"]
METRIC_GRAPH = "onnx:"
_BLOB = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_CONNECTION = re.compile(r"connection://([a-z0-9][a-z0-9_-]{0,62})/(.+)", re.ASCII)
_FORMS: Mapping[Place, str] = {
    "blob": "sha256:<hex>",
    "models": "models/<id>",
    "datasets": "datasets/<id>",
    "connection": "connection://<name>/<path>",
}
_MODEL: tuple[Place, ...] = ("blob", "models", "connection")
_DATA: tuple[Place, ...] = ("blob", "datasets", "connection")
_FILE: tuple[Place, ...] = ("blob", "connection")


@dataclass(frozen=True, slots=True)
class Reference:
    """One input of a spec.

    Attributes:
        place: Where it is.
        value: Digest, id, or path below the connection.
        connection: Name of the connection.
    """

    place: Place
    value: str
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """An input as the spec names it.

    Attributes:
        key: Its key in ``studies.problem``: ``model``, ``data.calibration``, ``metric.<metric>``.
        pointer: Where the spec names it.
        text: What stands there.
        places: Where it may be.
    """

    key: str
    pointer: str
    text: str
    places: tuple[Place, ...]


def named_inputs(spec: JobSpec) -> Iterator[Named]:
    """Yield every input that the spec names."""
    yield Named("model", "/model", spec.model, _MODEL)
    for role in ("calibration", "evaluation", "confirmation"):
        text = getattr(spec.data, role)
        if text is not None and not (role == "calibration" and text == RANDOM):
            yield Named(f"data.{role}", f"/data/{role}", text, _DATA)
    if spec.overrides is not None:
        yield Named("overrides", "/overrides", spec.overrides, _FILE)
    for g, goal in enumerate(spec.goal):
        if goal.metric.startswith(METRIC_GRAPH):
            text = goal.metric.removeprefix(METRIC_GRAPH)
            yield Named(f"metric.{goal.metric}", f"/goal/{g}/metric", text, _MODEL)


def read_reference(named: Named) -> Reference | Pointer:
    """Return where an input is, or what is wrong with its text."""
    found = _parse(named.text)
    if found is None or found.place not in named.places:
        forms = ", ".join(_FORMS[place] for place in named.places)
        return Pointer(named.pointer, f"must be one of {forms}, got {_shown(named.text)}")
    if found.place == "connection":
        mistakes = [one.message for one in path_problems([found.value], at=named.pointer)]
        if "::" in found.value:
            mistakes.append("must not have '::'")
        if mistakes:
            return Pointer(named.pointer, f"the path of the connection {mistakes[0]}")
    return found


def _parse(text: str) -> Reference | None:
    blob = _BLOB.fullmatch(text)
    if blob is not None:
        return Reference("blob", blob[1])
    connection = _CONNECTION.fullmatch(text)
    if connection is not None:
        return Reference("connection", connection[2], connection[1])
    place, _, identifier = text.partition("/")
    if place in ("models", "datasets") and is_id(identifier):
        return Reference("models" if place == "models" else "datasets", identifier)
    return None


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
