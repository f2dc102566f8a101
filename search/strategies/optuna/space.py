"""The space that ``optuna`` searches, and what a point of it means.

One ratio per sensitivity table (the first ``ceil(N * ratio)`` rows are raised, as in the guide), the number of rows
whose groups run in fp16, which side of a gemm keeps 16 bit where one only can, the 8-bit calibration method for what
gemms write and for everything else, and how many calibration samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil

import numpy as np

from search.assignment import Assignment
from search.evaluation.configuration import Calibration, Treatment
from search.precision import Format, Precision
from search.sensitivity.table import Row, Table
from search.strategies.shared.promotion import Promotion, concerned_groups
from search.strategies.shared.setting import Setting
from search.work.optuna_gateway import Dimension, Values

MOST_FLOAT_ROWS = 16
STARTING_RATIOS = (0.25, 0.125, 0.5, 0.0625, 1.0)  # the middle of a bisection first, the bound last
SENSITIVE, ACTIVATION = "sensitive", "activation"
METHODS = ("method_gemm", "method_other")
MOST_COMMON = 48  # common ratios looked at by an estimator


@dataclass(frozen=True, eq=False)
class Space:
    """What can be chosen, above one base.

    Attributes:
        setting: The facts.
        bottom: Request at the low end.
        high: Format that selected rows get.
        tables: Sensitivity of the base's points.
        float_rows: Rows that may go to fp16, most sensitive first; empty where 16-bit integers suffice.
        treatment: PromotedNoise in every trial.
    """

    setting: Setting
    bottom: Assignment
    high: Format
    tables: Sequence[Table]
    float_rows: Sequence[Row] = ()
    treatment: Treatment = field(default_factory=Treatment)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Parameters that have more than one value."""
        return tuple(self._dimensions())

    def _dimensions(self) -> Iterator[Dimension]:
        for t in range(len(self.tables)):
            yield Dimension(f"ratio_{t}", 0.0)
        if self.float_rows:
            yield Dimension("float_rows", 0, min(MOST_FLOAT_ROWS, len(self.float_rows)), whole=True)
        if "weight" in self._sides.values():
            yield Dimension("side", choices=(SENSITIVE, ACTIVATION))
        methods = self.setting.methods_8
        if len(methods) > 1:
            for name in METHODS:
                yield Dimension(name, choices=methods)
        if len(self.setting.sizes) > 1:
            yield Dimension("samples", choices=tuple(one.samples for one in self.setting.sizes))

    def starts(self, believed: Sequence[float] = ()) -> Iterator[Values]:
        """Points to begin with: what the ladder would probe, and the bounds, the lower one with every method.

        Args:
            believed: Common ratios that an estimator believes in; they come right behind the bounds.
        """
        for method in self.setting.methods_8:
            yield {**self._point(0.0, 0), **{name: method for name in METHODS if name in self._names}}
        most = min(MOST_FLOAT_ROWS, len(self.float_rows))
        counts = list(dict.fromkeys(c for c in (1, 2, 4, 8, most) if c <= most)) if most else [0]
        for count in counts if most else ():
            yield self._point(1.0, count)
        for ratio in (*believed, *STARTING_RATIOS):
            yield self._point(ratio, counts[-1])

    def common(self) -> Iterator[tuple[float, Assignment]]:
        """Common ratios with the effective assignments they ask for, at most ``MOST_COMMON``, lowest first."""
        longest = max((len(table.rows) for table in self.tables), default=0)
        steps = np.unique(np.linspace(1, longest, min(longest, MOST_COMMON)).astype(int)) if longest else ()
        for step in steps:
            values = self._point(float(step / longest), min(1, len(self.float_rows)))
            legal = self.setting.legaliser.legalise(self.request(values), sides=self.sides(values))
            yield float(step / longest), legal.effective

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(one.name for one in self.dimensions)

    def _point(self, ratio: float, count: int) -> Values:
        own = self.setting.calibration
        usual: dict[str, str | int | float] = {
            "float_rows": count,
            "side": SENSITIVE,
            "method_gemm": own.method_8,
            "method_other": own.method_8,
        }
        usual |= {"samples": own.samples, **{f"ratio_{t}": ratio for t in range(len(self.tables))}}
        return {one.name: usual[one.name] for one in self.dimensions}

    def request(self, values: Values) -> Assignment:
        """The assignment a point asks for."""
        return self._promotion(int(values.get("float_rows", 0))).request(
            row
            for t, table in enumerate(self.tables)
            for row in table.first(ceil(len(table.rows) * float(values[f"ratio_{t}"])))
        )

    def sides(self, values: Values) -> Mapping[int, str]:
        """Which side of each gemm keeps 16 bit where one only can."""
        return self._sides if values.get("side", SENSITIVE) == SENSITIVE else {}

    def calibration(self, values: Values) -> Calibration:
        """The scales of a point; a method without a range at that sample count gives way to the usual one."""
        own = self.setting.calibration
        samples = int(values.get("samples", own.samples))
        size = next((one for one in self.setting.sizes if one.samples == samples), None)
        if size is None:
            return own
        if own.method_8 not in size.methods:
            return own
        gemm, other = (str(values.get(name, own.method_8)) for name in METHODS)
        gemm, other = (method if method in size.methods else own.method_8 for method in (gemm, other))
        blob = own.blob if samples == own.samples else size.blob
        return replace(own, blob=blob, samples=samples, method_8=gemm, method_other=None if other == gemm else other)

    def _promotion(self, count: int) -> Promotion:
        groups = concerned_groups(self.setting.network, self.float_rows[:count])
        base = self.bottom.with_(dict.fromkeys(sorted(groups), Precision.FP16))
        return Promotion(self.setting.book, base, self.high)

    @cached_property
    def _sides(self) -> Mapping[int, str]:
        return Promotion(self.setting.book, self.bottom, self.high).sides(self.tables)


def in_words(values: Values) -> str:
    """A point for the record."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
