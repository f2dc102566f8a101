"""What identifies the measurement of one point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.evaluation.configuration import Configuration
from search.precision import Format
from search.sensitivity.points import Point, PointKind


@dataclass(frozen=True, kw_only=True)
class PointParams:
    """One point of one base.

    Attributes:
        base: The configuration whose formats and scales are used.
        point: What is rounded.
        mode: ``only``: this point alone; ``all_but``: everything the base rounds except this point.
        samples: Sample indices, the bad cases of the base.
        outputs: Values whose error is taken.
    """

    base: Configuration
    point: Point
    mode: str
    samples: tuple[int, ...]
    outputs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {
            "base": self.base.to_json(),
            "point": [self.point.kind.value, self.point.index, self.point.fmt.value],
            "mode": self.mode,
            "samples": list(self.samples),
            "outputs": list(self.outputs),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> PointParams:
        """Read what ``to_json`` wrote."""
        kind, index, fmt = value["point"]
        return PointParams(
            base=Configuration.from_json(value["base"]),
            point=Point(PointKind(kind), index, Format(fmt)),
            mode=value["mode"],
            samples=tuple(value["samples"]),
            outputs=tuple(value["outputs"]),
        )
