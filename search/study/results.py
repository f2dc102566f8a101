"""The answers a study rests on, one field per part it plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from search.records.missing import Missing
from search.tasks import Answer
from search.work.input_ends import Ends
from search.work.kinds.baseline import Baseline
from search.work.kinds.calibrate import Calibrated
from search.work.kinds.check import Checked
from search.work.kinds.confirm import Confirmed
from search.work.kinds.export import Written
from search.work.kinds.float import FloatRun
from search.work.kinds.layers import Dumped
from search.work.kinds.profile import Profiled
from search.work.kinds.recheck import KIND as RECHECK_KIND
from search.work.kinds.recheck import MODEL, Rechecked
from search.work.kinds.unoptimized import Unoptimized

RECHECK = RECHECK_KIND.name


@dataclass(frozen=True, kw_only=True)
class FloatAnswers:
    """The float model: what ran, and what it is worth."""

    run: Answer[FloatRun]
    measured: Answer[Baseline]

    @property
    def inputs(self) -> Mapping[str, Ends]:
        """Model input to its smallest and largest value."""
        return self.run.value.inputs or self.measured.value.inputs

    @property
    def seconds(self) -> float:
        """Time both took."""
        return self.run.seconds + self.measured.seconds


@dataclass(frozen=True, kw_only=True)
class Results:
    """What has been answered; None or empty where the study did not ask, or stopped before.

    Attributes:
        check: The model and its data.
        calibrate: Ranges.
        float_model: The float model on the evaluation samples.
        recheck: The exported file, compared with what was measured.
        confirm: The exported file on samples the search never saw.
        unoptimized: The exported file with every optimization off.
        export: The files.
        profile: Float against quantized layer by layer.
        layers: Intermediate results, one answer per sample.
        missing: What should have been delivered, and failed.
    """

    check: Answer[Checked] | None = None
    calibrate: Answer[Calibrated] | None = None
    float_model: FloatAnswers | None = None
    recheck: Answer[Rechecked] | None = None
    confirm: Answer[Confirmed] | None = None
    unoptimized: Answer[Unoptimized] | None = None
    export: Answer[Written] | None = None
    profile: Answer[Profiled] | None = None
    layers: tuple[Answer[Dumped], ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def blob_of_model(self) -> str | None:
        """Blob of the exported file; None where it was not checked."""
        return None if self.recheck is None else self.recheck.blobs.get(MODEL)

    def __or__(self, other: Results) -> Results:
        """Both; where both have an answer, that of ``other``, but everything that is missing."""
        given = {one.name: value for one in fields(other) if (value := getattr(other, one.name))}
        return replace(self, **{**given, "missing": (*self.missing, *other.missing)})

    @property
    def is_proven(self) -> bool:
        """Whether the exported file did not fail to do what was measured."""
        return all(one.what != RECHECK for one in self.missing)
