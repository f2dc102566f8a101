"""The groups of a study's network, in the order in which assignments list their precisions."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from search.graph.description import CHECK, stored_network
from service.store.db import items
from service.store.db.studies import Study


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
    network = None if found is None else stored_network(found.data)
    return tuple(
        GroupLine(no=no, name=one.name, op_type=one.op_type, nodes=one.nodes, macs=one.macs)
        for no, one in enumerate(() if network is None else network.groups)
    )
