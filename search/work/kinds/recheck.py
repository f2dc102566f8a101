"""``recheck``: the exported file, read back from its bytes, does what was measured, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from search.canonical import Json
from search.encoding import decoded
from search.errors import ExportMismatchError
from search.evaluation.configuration import Configuration
from search.metrics.part import Part, StoredPart
from search.targets.identity import Numerics
from search.tasks import Kind
from search.work.conditions import Evaluation
from search.work.item_runner import ItemRunner, Raw
from search.work.measured import measured

KIND = Kind(
    name="recheck",
    label="evaluate the exported model",
    doing="checking the exported model",
    phase="export",
    delivers=True,
)
MODEL = "model"
"""Blob: the exported file; it comes with the first samples only."""
Range = tuple[int, int, str | None]
"""Start, stop, and the digest its outputs must have; None where nothing was measured before."""


@dataclass(frozen=True)
class Rechecked:
    """The exported file, measured.

    Attributes:
        parts: Goal to its results, one per range.
        digests: Of the outputs, one per range.
    """

    parts: Mapping[str, tuple[StoredPart, ...]]
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """Measure the exported file of one configuration.

    Attributes:
        evaluation: What every evaluation of the study shares.
        numerics: What the target makes of the configuration.
        configuration: What is exported.
        ranges: Of the order.
    """

    kind: ClassVar[Kind] = KIND
    evaluation: Evaluation
    numerics: Numerics
    configuration: Configuration
    ranges: tuple[Range, ...]

    def read(self, data: Json) -> Rechecked:
        """Read a stored result."""
        return decoded(Rechecked, data)

    def run(self, runner: ItemRunner) -> Raw[Rechecked]:
        """Evaluate the file and compare it with what was measured.

        Ranges without a digest have not been measured before: there the exported file speaks first.

        Raises:
            ExportMismatchError: If an output differs.
        """
        data, session = runner.exported(self.configuration)
        order = runner.order_of(self.evaluation.order)
        parts: dict[str, tuple[Part, ...]] = {}
        digests = []
        for start, stop, digest in self.ranges:
            found = measured(runner, session, order[start:stop], self.evaluation, is_last=stop >= len(order))
            digests.append(found.digest)
            if digest is not None and found.digest != digest:
                raise ExportMismatchError(
                    f"The exported model gives other outputs than were measured on samples {start} to {stop} of the "
                    "order. Nothing was delivered; please report this model."
                )
            for name, part in found.parts.items():
                parts[name] = (*parts.get(name, ()), part)
        return Raw(Rechecked(parts, tuple(digests)), {MODEL: data} if self.ranges[0][0] == 0 else {})
