"""The precision map as the pages print it, from the value of ``precision_map.json``.

A title, a sentence computed from the map, the data for the script that draws it, and a table of the same groups. Names
are cleaned here; the script only places marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text
from search.export.report.assignment import badges, kind_of
from search.export.report.charts import Table
from search.records.verdict import Verdict
from search.targets.module_path import dotted

_LABEL = 19


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """One precision on the map: ``kind`` chooses the colour, ``letters`` say the same without it."""

    precision: str
    kind: str
    letters: tuple[str, ...]
    told: str


@dataclass(frozen=True, kw_only=True)
class TrialOption:
    """A trial the map can show."""

    number: int
    label: str


@dataclass(frozen=True, kw_only=True)
class MapView:
    """The map.

    Attributes:
        id: Of its figure.
        title: Heading.
        summary: What it shows, in numbers.
        legend: Precisions that occur in any trial.
        trials: Trials to show or to compare with.
        chosen: Label of the delivered assignment.
        levels: Depths of scopes that can be collapsed at once.
        data: For the script.
        table: The groups as rows.
    """

    id: str
    title: str
    summary: str
    legend: tuple[LegendEntry, ...]
    trials: tuple[TrialOption, ...]
    chosen: str
    levels: int
    data: Mapping[str, Any]
    table: Table


def map_view(document: Mapping[str, Any], *, unit: str = "index", rows: int = 2000) -> MapView:
    """Return the view of a map.

    Args:
        document: The value of ``precision_map.json``.
        unit: Of the costs of its trials.
        rows: Most rows of its table.
    """
    groups = [node for node in document["nodes"] if node["kind"] == "group"]
    chosen = document.get("chosen")
    return MapView(
        id="map",
        title="The network with its precisions",
        summary=_summary(document, groups),
        legend=_legend(document, groups),
        trials=tuple(_option(trial, chosen, unit) for trial in document["trials"]),
        chosen="delivered" if chosen is None else f"trial {chosen}, delivered",
        levels=max((_depth(document["scopes"], index) for index in range(len(document["scopes"]))), default=-1) + 1,
        data=_data(document, groups),
        table=_table(document, groups, rows),
    )


def _summary(document: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for precision in document["precisions"]:
        found = [node for node in groups if node["precision"] == precision]
        if found:
            share = sum(node["macs_share"] for node in found)
            parts.append(f"{len(found):,} at {precision} ({text.percent(share)} of compute)")
    casts = document["n_casts"]
    told = f"{text.plural(len(groups), 'group')}: {', '.join(parts)}." if groups else "The network has no group."
    share = text.percent(document["cast_share"])
    changes = f"{text.plural(casts, 'format change')} between groups" if casts else "No format changes between groups"
    rest = (
        f"; changes and conversions at the ends take {share} of the cost (estimate)." if document["cast_share"] else "."
    )
    return f"{told} {changes}{rest}"


def _legend(document: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> tuple[LegendEntry, ...]:
    seen = {digit for trial in document["trials"] for digit in set(trial["precisions"])}
    entries = []
    for index, precision in enumerate(document["precisions"]):
        n = sum(node["precision"] == precision for node in groups)
        if n or str(index) in seen:
            letters = tuple(f"{badge.side}{badge.letter}" for badge in badges(precision))
            entry = LegendEntry(precision=precision, kind=kind_of(precision), letters=letters, told=f"{n:,}")
            entries.append(entry)
    return tuple(entries)


def _option(trial: Mapping[str, Any], chosen: int | None, unit: str) -> TrialOption:
    told = [
        f"trial {trial['trial']}",
        text.clean(text.words(trial["stage"]), 28),
        text.cost(trial["cost"], unit),
        Verdict(trial["verdict"]).label,
    ]
    if trial["trial"] == chosen:
        told.append("delivered")
    return TrialOption(number=int(trial["trial"]), label=" · ".join(part for part in told if part))


def _depth(scopes: Sequence[Mapping[str, Any]], index: int) -> int:
    parent = scopes[index]["parent"]
    return 0 if parent is None else 1 + _depth(scopes, parent)


def _data(document: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    largest = max((node["cost_share"] for node in groups), default=0.0) or 1.0
    return {
        "rows": document["rows"],
        "width": document["width"],
        "nodes": [_node(node, largest) for node in document["nodes"]],
        "edges": [
            [edge["from"], edge["to"], edge["stored"], edge["read"], edge["bends"], text.clean(edge["tensor"], 60)]
            for edge in document["edges"]
        ],
        "scopes": [
            {"name": text.clean(scope["path"]), "label": _last(scope["path"]), "parent": scope["parent"]}
            for scope in document["scopes"]
        ],
        "collapsed": document["collapsed"],
        "precisions": [
            {"name": name, "kind": kind_of(name), "letters": [f"{badge.side}{badge.letter}" for badge in badges(name)]}
            for name in document["precisions"]
        ],
        "chosen": document.get("chosen"),
        "trials": [{"trial": trial["trial"], "precisions": trial["precisions"]} for trial in document["trials"]],
    }


def _node(node: Mapping[str, Any], largest: float) -> dict[str, Any]:
    found = {"kind": node["kind"], "id": node["id"], "row": node["row"], "x": node["x"]}
    name = text.clean(node["name"])
    if node["kind"] != "group":
        return {**found, "name": name, "label": text.ending(node["name"], _LABEL)}
    return {
        **found,
        "name": name,
        "label": text.ending(_short(str(node["name"]), str(node["op_type"])), _LABEL),
        "op": text.clean(node["op_type"], 24),
        "scope": node["scope"],
        "precision": node["precision"],
        "requested": "" if node["requested"] == node["precision"] else node["requested"],
        "why": text.sentence(node["why"]),
        "compute": text.percent(node["macs_share"]),
        "cost": text.percent(node["cost_share"]),
        "bar": round(node["cost_share"] / largest, 3),
    }


def _short(name: str, op_type: str) -> str:
    """The last two modules of a name; the operator is told beside it."""
    path = dotted(name[:4000]).split(".")
    if len(path) > 1 and path[-1].partition("_")[0] == op_type and not path[-2].isdigit():
        path = path[:-1]
    return ".".join(path[-3:] if len(path) > 2 and path[-2].isdigit() else path[-2:])


def _last(path: str) -> str:
    """The end of a scope's path that tells it from its siblings: a number keeps the word before it."""
    parts = str(path).split(".")
    kept = parts[-2:] if len(parts) > 1 and parts[-1].isdigit() else parts[-1:]
    return text.clean(".".join(kept), 24)


def _table(document: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], most: int) -> Table:
    nodes = document["nodes"]
    casts: dict[str, list[str]] = {}
    for edge in document["edges"]:
        if edge["stored"] != edge["read"]:
            casts.setdefault(nodes[edge["to"]]["id"], []).append(f"{edge['stored']} → {edge['read']}")
    rows = tuple(
        (
            node["id"],
            text.clean(node["name"]),
            text.clean(node["op_type"], 40),
            node["precision"],
            node["requested"],
            text.percent(node["macs_share"]),
            text.percent(node["cost_share"]),
            ", ".join(dict.fromkeys(casts.get(node["id"], ()))),
        )
        for node in groups[:most]
    )
    left = len(groups) - len(rows)
    return Table(
        head=("Group", "Operator", "Type", "Precision", "Requested", "Compute", "Cost (estimate)", "Format changes"),
        rows=rows,
        numeric=frozenset({5, 6}),
        note=f"{text.plural(left, 'further group')} in precision_map.json." if left else "",
    )
