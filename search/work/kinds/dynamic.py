"""``dynamic``: the model quantized dynamically by the runtime's own tool, measured on everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from search.canonical import Json
from search.encoding import decoded
from search.errors import UnsupportedModelError
from search.metrics.part import StoredPart
from search.runtime.dynamic import dynamically_quantized
from search.runtime.saturation import saturates_pairs
from search.runtime.session import Level, Session
from search.tasks import Kind
from search.work.conditions import Evaluation
from search.work.item_runner import ItemRunner, Raw
from search.work.measured import measured

KIND = Kind(name="dynamic", label="try dynamic quantization", doing="trying dynamic quantization", phase="export")
MODEL = "model"
"""Blob: the file; missing where the tool refused."""


@dataclass(frozen=True)
class Tried:
    """The dynamically quantized model, measured.

    Attributes:
        parts: Goal to its results; empty where the model could not be made or run.
        refused: Why; empty if it was measured.
    """

    parts: Mapping[str, tuple[StoredPart, ...]]
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class TryDynamic:
    """Quantize the user's model dynamically, and measure it on all samples of the order.

    Attributes:
        evaluation: What every evaluation of the study shares.
    """

    kind: ClassVar[Kind] = KIND
    evaluation: Evaluation

    def read(self, data: Json) -> Tried:
        """Read a stored result."""
        return decoded(Tried, data)

    def run(self, runner: ItemRunner) -> Raw[Tried]:
        """Make it and measure it; what the tool or the runtime refuses is an answer, too."""
        order = runner.order_of(self.evaluation.order)
        try:
            data = dynamically_quantized(runner.loaded.user.proto, reduce_range=saturates_pairs())
            session = Session(data, level=Level.DEPLOYED, threads=runner.problem.threads)
            found = measured(runner, session, order, self.evaluation, is_last=True)
        except UnsupportedModelError as error:
            return Raw(Tried({}, str(error)))
        return Raw(Tried({name: (part,) for name, part in found.parts.items()}), {MODEL: data})
