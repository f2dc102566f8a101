"""A problem: what one study has to solve, as a value. Files appear as digests only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from search.canonical import Json, digest_json
from search.metrics.user_metric import UserMetric
from search.spec.job import Evaluator, JobSpec
from search.targets.target import Target

RESULTS_VERSION = 7
"""Goes up whenever stored results of an earlier program must not be reused."""


class Files(Protocol):
    """Read-only access to inputs and blobs by digest."""

    def path(self, digest: str) -> Path:
        """File or directory of the input ``digest``."""
        ...

    def get(self, digest: str) -> bytes:
        """Blob ``digest``, left by an earlier item."""
        ...


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One study.

    Attributes:
        spec: The job spec; its paths are for the reader only.
        target: The chip, read and gated by tool-chain.
        model: Digest of the model file.
        calibration: Digest of the calibration data, None for ``random``.
        evaluation: Digest of the evaluation data, None where there is none.
        confirmation: Digest of the confirmation data.
        overrides: Content of the tensor overrides file.
        metrics: Custom metric of a goal to the digest of its ONNX file, or of its code.
        own_metrics: Custom metric of a goal to the object that a program gave, which no other process has.
        environment: Library versions, processor, threads: what a result may depend on besides inputs.
        exports_calibration: Whether the calibration samples are delivered too; the files then name their folder.
        dumps_layers: Whether every intermediate result of some samples is delivered too.
        trusts_python: Whether metrics that are Python code may run: the user's own, on her own machine.
    """

    spec: JobSpec
    target: Target
    model: str
    calibration: str | None
    evaluation: str | None
    confirmation: str | None = None
    overrides: Mapping[str, Json] | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    own_metrics: Mapping[str, UserMetric] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    exports_calibration: bool = False
    dumps_layers: bool = False
    trusts_python: bool = False

    @cached_property
    def context(self) -> str:
        """What every item of the study depends on: the model and the environment."""
        known = {"model": self.model, "environment": dict(self.environment), "version": RESULTS_VERSION}
        fusion = self.target.fusion
        return digest_json(known if fusion is None else {**known, "fusion": fusion.identity})

    @property
    def threads(self) -> int:
        """Intra-op threads of every session."""
        return self.spec.run.threads

    @property
    def evaluator(self) -> Evaluator:
        """Evaluator of record: integer arithmetic for a chip, unless the spec says otherwise."""
        return self.spec.search.evaluator or ("fake_quant" if self.is_deployed_here else "integer")

    @property
    def is_deployed_here(self) -> bool:
        """Whether the target is this very runtime, so that models are measured as they will run."""
        return self.target.activation_rule.startswith("ort")

    @property
    def is_timed(self) -> bool:
        """Whether the clock decides between what meets the goals: by default where the target is right here."""
        return self.is_deployed_here and self.evaluation is not None and self.spec.search.measure is not False

    @property
    def is_random(self) -> bool:
        """Whether the flow runs without data."""
        return self.spec.data.calibration == "random"
