"""Computing tasks of a local run: what an item gave, with its arrays and files in the run's blobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search.canonical import Json
from search.tasks import AnyItem, Task
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from service.local.store import RunStore


@dataclass(frozen=True)
class Computed:
    """What one item gave.

    Attributes:
        item: The item.
        data: JSON value.
        blobs: Name to blob digest; the blobs are on disk.
    """

    item: AnyItem
    data: Mapping[str, Json]
    blobs: Mapping[str, str]


def compute(runner: ItemRunner, store: RunStore, task: Task) -> Iterator[Computed]:
    """Yield what every item gave, as soon as it is finished."""
    for item, raw in run_items(runner, task):
        yield Computed(item, raw.data, {name: store.put(data) for name, data in raw.blobs.items()})
