"""``confirm``: the exported file on samples the search never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.canonical import Json
from search.encoding import decoded
from search.evaluation.measure import measure, outputs_of
from search.metrics.part import StoredPart
from search.runtime.session import Session
from search.tasks import Kind
from search.work.conditions import Evaluation
from search.work.item_runner import ItemRunner, Raw

KIND = Kind(
    name="confirm",
    label="evaluate on confirmation samples",
    doing="confirming on unseen data",
    phase="export",
    delivers=True,
    is_search=False,
)


@dataclass(frozen=True)
class Confirmed:
    """The exported file, measured.

    Attributes:
        parts: Goal to its results.
        n: Confirmation samples.
    """

    parts: Mapping[str, tuple[StoredPart, ...]]
    n: int


@dataclass(frozen=True, kw_only=True)
class Confirm:
    """Measure an exported file.

    Attributes:
        evaluation: Metrics, and which samples are held back.
        model: Blob of the file.
        confirmation: Digest of the confirmation data; None where it is held back from the evaluation data.
    """

    kind: ClassVar[Kind] = KIND
    evaluation: Evaluation
    model: str
    confirmation: str | None

    def read(self, data: Json) -> Confirmed:
        """Read a stored result."""
        return decoded(Confirmed, data)

    def run(self, runner: ItemRunner) -> Raw[Confirmed]:
        """Measure the file once on all confirmation samples."""
        samples = runner.confirmation
        if samples is None:
            raise ValueError("This study has no confirmation samples.")
        session = Session(runner.files.get(self.model), level=runner.level, threads=runner.problem.threads)
        loaded, uses = runner.loaded, runner.uses(self.evaluation.uses)
        names = list(dict.fromkeys(name for use in uses for name in use.outputs))

        def exact(indices: npt.NDArray[np.int64]) -> Mapping[str, Array]:
            return outputs_of(loaded.user_session, samples, loaded.feeding, indices, names)

        indices = np.arange(samples.n_samples)
        compares = any(use.metric.is_fidelity for use in uses)  # else nothing needs the float outputs
        found = measure(session, samples, loaded.feeding, indices, uses=uses, reference=exact if compares else None)
        return Raw(Confirmed({name: (part,) for name, part in found.parts.items()}, samples.n_samples))
