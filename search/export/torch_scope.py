"""From an ONNX node name back to the PyTorch module that made it: ``/head/layers.0/Conv`` is ``head.layers.0``.

The exporter names a node by the modules it ran in and the operator. That names one module only if nothing else ran in
it: ``/head/Add`` is an addition written in the forward function of ``head``, and a setting for ``head`` would reach all
its children. So a node maps to its scope only if that scope has no scope below it and all its nodes are of one group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SCOPE = re.compile(r"(?:[A-Za-z_]\w*|\d+)(?:\.(?:[A-Za-z_]\w*|\d+))*", re.ASCII)


@dataclass(frozen=True)
class ScopeMap:
    """Which nodes name a module, and which modules are called more than once.

    Attributes:
        modules: Node name to module name, for the nodes that have one.
        shared: Modules that belong to several groups: one set of scales for different data.
    """

    modules: Mapping[str, str]
    shared: frozenset[str]


def scope_of(node: str) -> str | None:
    """Return the module path in a node name, or None if the name has none.

    >>> scope_of("/head/layers.0/Conv"), scope_of("Conv_12")
    ('head.layers.0', None)
    """
    if not node.startswith("/"):
        return None
    path: list[str] = []
    for part in node[1:].split("/")[:-1]:
        if path and part.startswith(path[-1] + "."):
            path.pop()  # a child of a container repeats its name: /blocks/blocks.0/conv/Conv
        path.append(part)
    scope = ".".join(path)
    return scope if _SCOPE.fullmatch(scope) else None


def map_scopes(groups: Mapping[int, Iterable[str]], others: Iterable[str] = ()) -> ScopeMap:
    """Return the modules of all nodes that have one.

    Args:
        groups: Group index to its node names.
        others: Names of computing nodes outside every group.
    """
    owner = {node: group for group, nodes in groups.items() for node in nodes}
    owner.update({node: -1 for node in others if node not in owner})
    scopes = {node: scope for node in owner if (scope := scope_of(node)) is not None}
    users: dict[str, set[int]] = {}
    for node, scope in scopes.items():
        users.setdefault(scope, set()).add(owner[node])
    containers = {scope[:end] for scope in users for end, letter in enumerate(scope) if letter == "."}
    modules = {node: scope for node, scope in scopes.items() if scope not in containers and len(users[scope]) == 1}
    return ScopeMap(
        modules={node: scope for node, scope in modules.items() if owner[node] >= 0},
        shared=frozenset(scope for scope, found in users.items() if len(found) > 1 and scope not in containers),
    )
