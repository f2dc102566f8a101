"""The first look at a study: the ``check`` item and the preflight, in memory, before anything is written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from search.canonical import digest_bytes
from search.study.intake import first_look
from search.study.items import check_item
from search.study.plan import Replay
from search.tasks import ItemResult, Task
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds.check import Checked
from service.local.driver import State, Watch
from service.local.store import RunStore


@dataclass(frozen=True)
class Intake:
    """What the first look gave, to be stored once the directory is open.

    Attributes:
        result: The ``check`` result.
        raw: Its content.
    """

    result: ItemResult
    raw: Raw[Checked]

    def store(self, store: RunStore) -> None:
        """Put it into the run."""
        for data in self.raw.blobs.values():
            store.put(data)
        store.add(self.result)


def take_in(runner: ItemRunner, results: Mapping[str, ItemResult], watch: Watch, *, began: float) -> Intake | None:
    """Check model, data and spec; None where an earlier sitting has done so.

    Args:
        runner: The study's runner.
        results: What is stored.
        watch: Told what is going on.
        began: When reading the model began, by ``time.monotonic``: from there on it is search time.

    Raises:
        SearchError: If anything the user gave cannot be used.
    """
    item = check_item(runner.problem)
    if item.digest in results:
        return None
    task = Task((item,))
    watch(State(Replay(runner.problem), task, total=1))
    raw = first_look(runner)
    blobs = {name: digest_bytes(data) for name, data in raw.blobs.items()}
    result = ItemResult(item.digest, item.kind.name, raw.data, blobs, seconds=time.monotonic() - began)
    return Intake(result, raw)
