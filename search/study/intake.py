"""The first look at a study: the ``check`` item with everything else that can be wrong with its inputs."""

from __future__ import annotations

from search.canonical import digest_bytes
from search.study.bench import Bench, Raw
from search.study.items import check_item
from search.study.preflight import preflight
from search.study.running import run_items
from search.tasks import ItemResult, Task


def first_look(bench: Bench) -> Raw:
    """Compute the ``check`` item and lay data and spec beside it.

    Raises:
        SearchError: If anything the user gave cannot be used.
    """
    item = check_item(bench.problem)
    ((_, raw),) = run_items(bench, Task((item,)))
    blobs = {name: digest_bytes(data) for name, data in raw.blobs.items()}
    preflight(bench, ItemResult(item.digest, item.kind, raw.data, blobs))
    return raw
