"""Items of a round bundled into tasks: what one process takes at a time, and may lose when it dies.

By estimated work alone, never by a clock or by how many processes there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.tasks import Item, Task

MAX_ITEMS = 64
"""Per task, however little work they are."""


def group_items(items: Sequence[Item], task_macs: float) -> tuple[Task, ...]:
    """Bundle items of a round by estimated work: at most ``task_macs`` and ``MAX_ITEMS`` per task."""
    tasks: list[list[Item]] = []
    for item in items:
        last = tasks[-1] if tasks else None
        fits = last is not None and last[0].kind == item.kind and len(last) < MAX_ITEMS
        if last is not None and fits and sum(one.work for one in last) + item.work <= task_macs:
            last.append(item)
        else:
            tasks.append([item])
    return tuple(Task(tuple(found)) for found in tasks)
