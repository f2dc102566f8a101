"""Where a result comes from: model, data, job, versions, machine and date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """A model input as the file declares it; None is an open size."""

    name: str
    dtype: str | None = None
    shape: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """The model file.

    Attributes:
        file: Its name in the job.
        digest: SHA-256 of its content.
        bytes: Its size; None where it was not looked at.
        opset: Of the default domain, as in the file.
        exporter: Program and version that wrote it; empty where the file does not say.
        inputs: As the file declares them.
    """

    file: str
    digest: str
    bytes: int | None = None
    opset: int | None = None
    exporter: str = ""
    inputs: tuple[InputRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecord:
    """One data set.

    Attributes:
        role: ``calibration | evaluation | confirmation``.
        file: Its name in the job; ``random`` where there was none.
        digest: SHA-256 of its content; None for random numbers.
        samples: How many of it took part; None where that is not told.
        classes: Label array to how many samples each of its classes has, where they are classes.
    """

    role: str
    file: str
    digest: str | None = None
    samples: int | None = None
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Everything a result rests on.

    Attributes:
        model: The model.
        data: The data sets.
        job: The job as it was understood, defaults included.
        versions: Libraries, processor and threads that a result may depend on.
        command: What was typed; None where it was no command.
        machine: Where it was computed; None where that is not told.
        date: When it was delivered, UTC, as ISO 8601; None where that is not told.
        seconds: Time of the search over all sittings.
    """

    model: ModelRecord
    data: tuple[DataRecord, ...] = ()
    job: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str | None = None
    machine: str | None = None
    date: str | None = None
    seconds: float | None = None
