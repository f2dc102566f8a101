"""What is delivered: the configuration that is exported, and what the files say beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.assignment import Assignment
from search.evaluation.configuration import Configuration
from search.spec.job import Pin
from search.work.conditions import MetricUse


@dataclass(frozen=True, kw_only=True)
class KnightData:
    """What the Knight tools are told of metric and data.

    Attributes:
        uses: The metric, if there is one.
        calibration: Digest of the calibration data.
        calibration_file: Its name; None for random numbers.
        evaluation_file: Name of the evaluation data.
        seed: Of the study.
        seeded: Whether calibration samples were taken in the seeded order.
    """

    uses: tuple[MetricUse, ...]
    calibration: str | None
    calibration_file: str | None
    evaluation_file: str | None
    seed: int
    seeded: bool


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What the exporters are told.

    Attributes:
        configuration: What is exported.
        requested: Before the chip rules.
        reasons: Group index to why its precision was changed.
        ratio: Smallest ratio of a goal's value to that of the float model.
        exports_calibration: Whether calibration samples are asked for, whatever their size.
        seeded: Whether they were taken in the seeded order.
        pins: Precisions the user fixed.
        knight: What the Knight tools are told; None for other targets.
    """

    configuration: Configuration
    requested: Assignment
    reasons: Mapping[int, str]
    ratio: float | None
    exports_calibration: bool
    seeded: bool
    pins: tuple[Pin, ...]
    knight: KnightData | None
