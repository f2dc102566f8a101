"""The groups of a study's network, in the order in which assignments list their precisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from search.graph.network import Network
from service.store.db import items
from service.store.db.studies import Study

CHECK = "check"


@dataclass(frozen=True, kw_only=True)
class GroupLine:
    """One group.

    Attributes:
        no: Position in every assignment, from 0.
        name: User's name of its main node.
        op_type: Of that node, or the recognised pattern.
        nodes: All members.
        macs: Multiply-accumulates per sample.
    """

    no: int
    name: str
    op_type: str
    nodes: tuple[str, ...]
    macs: int


def groups_of(connection: Connection, study: Study) -> tuple[GroupLine, ...]:
    """Return the groups; none before the model was checked."""
    found = items.newest(connection, study.id, CHECK)
    described: Mapping[str, Any] | None = None if found is None else found.data.get("network")
    if described is None:
        return ()
    groups = Network.from_json(dict(described)).groups
    return tuple(
        GroupLine(no=no, name=one.name, op_type=one.op_type, nodes=one.nodes, macs=one.macs)
        for no, one in enumerate(groups)
    )
