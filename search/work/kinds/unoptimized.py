"""``unoptimized``: the exported file with every optimization of the runtime off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from search.canonical import Json
from search.encoding import decoded
from search.metrics.part import StoredPart
from search.runtime.session import Level, Session
from search.tasks import Kind
from search.work.conditions import Evaluation
from search.work.item_runner import ItemRunner, Raw
from search.work.measured import measured

KIND = Kind(
    name="unoptimized",
    label="evaluate without optimizations",
    doing="evaluating the exported model unoptimized",
    phase="export",
    delivers=True,
    is_search=False,
)


@dataclass(frozen=True)
class Unoptimized:
    """The exported file, measured.

    Attributes:
        parts: Goal to its results.
    """

    parts: Mapping[str, tuple[StoredPart, ...]]


@dataclass(frozen=True, kw_only=True)
class RunUnoptimized:
    """Measure an exported file.

    Attributes:
        evaluation: What every evaluation of the study shares.
        model: Blob of the file.
        range: Of the order, start and stop.
    """

    kind: ClassVar[Kind] = KIND
    evaluation: Evaluation
    model: str
    range: tuple[int, int]

    def read(self, data: Json) -> Unoptimized:
        """Read a stored result."""
        return decoded(Unoptimized, data)

    def run(self, runner: ItemRunner) -> Raw[Unoptimized]:
        """Measure the file on the range."""
        session = Session(runner.files.get(self.model), level=Level.PLAIN, threads=runner.problem.threads)
        start, stop = self.range
        order = runner.order_of(self.evaluation.order)
        found = measured(runner, session, order[start:stop], self.evaluation, is_last=stop >= len(order))
        return Raw(Unoptimized({name: (part,) for name, part in found.parts.items()}))
