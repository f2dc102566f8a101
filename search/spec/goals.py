"""A goal: one metric at one output with one limit.

With ``float`` the metric of the untouched model: ``max_drop d`` asks for ``>= float - d``, ``max_increase d`` for
``<= float + d``, ``min_ratio r`` for ``>= r * float`` (errors: ``<= float / r``), ``min_value`` and ``max_value`` for
the value itself. The output is one of the model or a part of one (``output0[:, 4:]``, see ``search.spec.output_part``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from search.spec.metric_names import METRICS, Direction, Ranking, check_metric, is_custom, is_python
from search.spec.output_part import read_part
from search.spec.strict import SpecModel, Text

Limit = Literal["max_drop", "min_value", "min_ratio", "max_increase", "max_value"]

LIMITS: tuple[Limit, ...] = ("max_drop", "min_value", "min_ratio", "max_increase", "max_value")
DEFAULT_TOP1_DROP = 0.01
ALL_OUTPUTS = "*"
"""What is named as the output of a metric that reads several."""
_FOR_SCORES = ("max_drop", "min_value", "min_ratio")
_FOR_ERRORS = ("max_increase", "max_value", "min_ratio")

NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Goal(SpecModel):
    """One requirement on accuracy.

    ``output``, ``labels`` and ``ranking`` may be open until the model and the data are known; ``resolve_goals`` fills
    them in.
    """

    metric: Text
    output: Text | None = None
    labels: Text | None = None
    max_drop: NotNegative | None = None
    min_value: float | None = None
    min_ratio: Positive | None = None
    max_increase: NotNegative | None = None
    max_value: NotNegative | None = None
    ranking: Ranking | None = None
    percentile: Annotated[float, Field(gt=0, le=100)] | None = None
    _own: object = PrivateAttr(None)

    @field_validator("metric")
    @classmethod
    def _metric_exists(cls, metric: str) -> str:
        check_metric(metric)
        return metric

    @field_validator("output")
    @classmethod
    def _part_is_readable(cls, output: str | None) -> str | None:
        return None if output is None else str(read_part(output))

    @model_validator(mode="after")
    def _limit_fits(self) -> Goal:
        given = [name for name in LIMITS if getattr(self, name) is not None]
        if not given and self.metric == "top1":
            object.__setattr__(self, "max_drop", DEFAULT_TOP1_DROP)
            given = ["max_drop"]
        if len(given) != 1:
            got = " and ".join(given) if given else "none"
            raise ValueError(f"metric {self.metric!r} needs exactly one limit of {', '.join(LIMITS)}; got {got}")
        self._check_limit(given[0])
        return self

    @model_validator(mode="after")
    def _rest_fits(self) -> Goal:
        if self.is_fidelity and self.labels is not None:
            raise ValueError(f"metric {self.metric!r} compares with the float outputs and takes no labels")
        if self.percentile is not None and "atol" not in (self.metric, self.ranking):
            raise ValueError("percentile belongs to atol only, as metric or as ranking")
        return self

    def _check_limit(self, limit: str) -> None:
        known = METRICS.get(self.metric)
        if known is None:
            return
        kind = "a score, higher is better" if known.direction == "higher" else "an error, lower is better"
        fitting: tuple[str, ...] = _FOR_SCORES if known.direction == "higher" else _FOR_ERRORS
        if known.fidelity:
            kind = f"{kind}, and compares with the float outputs"
            fitting = ("min_value",) if known.direction == "higher" else ("max_value",)
        if limit not in fitting:
            raise ValueError(f"{limit} does not fit {self.metric!r} ({kind}); use {' or '.join(fitting)}")
        if known.share and limit == "max_drop" and self.limit_value > 1:
            raise ValueError(f"max_drop of {self.metric!r} is a share, 0.01 is one point; got {self.limit_value:g}")

    @property
    def limit(self) -> Limit:
        """Name of the one limit that is set."""
        return next(name for name in LIMITS if getattr(self, name) is not None)

    @property
    def limit_value(self) -> float:
        """Value of the one limit that is set."""
        return float(getattr(self, self.limit))

    @property
    def direction(self) -> Direction:
        """Which values are better; a custom metric tells by its limit (``min_ratio`` means a score)."""
        known = METRICS.get(self.metric)
        if known is not None:
            return known.direction
        return "lower" if self.limit in ("max_increase", "max_value") else "higher"

    @property
    def is_fidelity(self) -> bool:
        """Whether the metric compares with the float outputs."""
        return self.metric in METRICS and METRICS[self.metric].fidelity

    @property
    def is_custom(self) -> bool:
        """Whether the metric is the user's own."""
        return is_custom(self.metric)

    @property
    def is_python(self) -> bool:
        """Whether the metric is Python code: it reads all outputs and labels unless the goal names one."""
        return is_python(self.metric)

    @property
    def own(self) -> object:
        """The object that a program gave as metric; None where it is known by its name."""
        return self._own

    def remember(self, own: object) -> None:
        """Keep the object that ``metric`` names: a program's own, which cannot be imported."""
        self._own = own

    def reads(self, outputs: Iterable[str]) -> tuple[str, ...]:
        """Outputs of the model that the metric looks at; all of ``outputs`` where the goal is resolved without one."""
        return tuple(outputs) if self.output is None else (self.output,)

    @property
    def id(self) -> str:
        """``name@output``; the metric's name alone while the output is open."""
        return self.metric if self.output is None else f"{self.metric}@{self.output}"
