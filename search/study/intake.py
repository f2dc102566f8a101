"""The first look at a study: the ``check`` item with everything else that can be wrong with its inputs."""

from __future__ import annotations

from search.canonical import digest_bytes
from search.study.items import check_item
from search.study.preflight import preflight
from search.tasks import ItemResult, Task
from search.work.item_runner import ItemRunner, Raw
from search.work.running import run_items


def first_look(runner: ItemRunner) -> Raw:
    """Compute the ``check`` item and lay data and spec beside it.

    Raises:
        SearchError: If anything the user gave cannot be used.
    """
    item = check_item(runner.problem)
    ((_, raw),) = run_items(runner, Task((item,)))
    blobs = {name: digest_bytes(data) for name, data in raw.blobs.items()}
    preflight(runner, ItemResult(item.digest, item.kind, raw.data, blobs))
    return raw
