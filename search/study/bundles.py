"""Items of a round bundled into tasks: what one process takes at a time, and may lose when it dies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from search.shares import bundled
from search.tasks import AnyItem, Task

MAX_ITEMS = 64
"""Per task, however little work they are."""


def group_items(items: Sequence[AnyItem], task_macs: float) -> tuple[Task, ...]:
    """Bundle items of a round by estimated work: at most ``task_macs`` and ``MAX_ITEMS`` per task."""
    tasks: list[Task] = []
    for _, found in groupby(items, key=lambda item: item.kind):
        same = tuple(found)
        for share in bundled(same, [item.macs for item in same], task_macs):
            tasks += [Task(share[i : i + MAX_ITEMS]) for i in range(0, len(share), MAX_ITEMS)]
    return tuple(tasks)
