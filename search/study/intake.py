"""The first look at a study: the ``check`` item with everything else that can be wrong with its inputs."""

from __future__ import annotations

from search.canonical import digest_bytes
from search.study.items import check_work
from search.study.preflight import preflight
from search.tasks import Answer
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds.check import Checked


def first_look(runner: ItemRunner) -> Raw[Checked]:
    """Compute the ``check`` item and lay data and spec beside it.

    Raises:
        SearchError: If anything the user gave cannot be used.
    """
    raw = check_work(runner.problem).run(runner)
    preflight(runner, Answer(raw.value, {name: digest_bytes(data) for name, data in raw.blobs.items()}))
    return raw
