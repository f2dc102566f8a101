"""``ladder``: the tuning guide done by the machine.

Integer chips (J6E/M): all-int16, then all-int8, then int8/int16 by ratio. All-int16 misses: fp16 for the most
sensitive groups, as few as possible, and the ratio on top of the frozen fp16 set.
Chips with float elementwise units (J6P/H): gemm a16w16 and fp16 elsewhere, then gemm a8w8, then the gemm ratio. The
first misses: targeted treatment of ranges and of fp16, kept from then on.
``ort-cpu``: float is the upper end; selected points take their groups to fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.precision import Format, Precision
from search.sensitivity.table import Row, Table
from search.strategies.bisect import fewest_doubling
from search.strategies.desk import Desk
from search.strategies.goals import total_shortfall
from search.strategies.mix import Base, mix
from search.strategies.promotion import Promotion, concerned_groups
from search.strategies.treatments import treat
from search.strategies.trial import Trial
from search.targets.legalise import uniform
from search.targets.target import Target
from search.tasks import Plan

INTEGERS = (Format.INT8, Format.INT16)
PRUNE_LIMIT = 6  # float groups tried one by one for leaving; larger sets only shrink by bisection


def ladder(desk: Desk) -> Plan[None]:
    """Run the whole ladder; the trials on the desk are its result."""
    if high_format(desk.setting.target) is Format.FP32:
        yield from _to_float(desk)
    elif has_float_elementwise(desk.setting.target):
        yield from _float_elementwise(desk)
    else:
        yield from _integer(desk)


def high_format(target: Target) -> Format:
    """Format of activations at the upper end of the target."""
    return target.all_high_gemm.activation


def has_float_elementwise(target: Target) -> bool:
    """Whether non-gemm groups run in fp16 by default."""
    return target.all_low_other is Precision.FP16


def _integer(desk: Desk) -> Plan[None]:
    setting = desk.setting
    top = uniform(setting.network, setting.target, "high")
    bottom = uniform(setting.network, setting.target, "low")
    high = yield from desk.evaluate(top, stage="all-int16", why="upper bound", full=True)
    low = yield from desk.evaluate(bottom, stage="all-int8", why="lower bound", full=True)
    if low.is_met:
        return
    if high.is_met:
        tables = yield from desk.tables(low, "all-int8", formats=(Format.INT8,))
        yield from mix(desk, Base(bottom, high, tables, Treatment(), Format.INT16, "int8/int16"))
        return
    tables = yield from desk.tables(low, "all-int8", formats=(Format.INT8,))
    best = yield from one_sided(desk, high, bottom, tables)
    if best.is_met:
        yield from mix(desk, Base(bottom, best, tables, Treatment(), Format.INT16, "int8/int16"))
        return
    yield from _with_fp16(desk, best, bottom)


def one_sided(
    desk: Desk, high: Trial, bottom: Assignment, tables: Sequence[Table], *, full: bool = True
) -> Plan[Trial]:
    """Each gemm with 16 bit on its more sensitive side: more than all-int16 where one side only may have it.

    Returns:
        That trial, or ``high`` where that misses the goals by less.
    """
    setting = desk.setting
    wish = Assignment(tuple(Precision.A16W16 if group.is_gemm else Precision.INT16 for group in setting.network.groups))
    sides = Promotion(setting.book, bottom, Format.INT16).sides(tables)
    sided = yield from desk.evaluate(
        wish, stage="int16 on the sensitive side", why="upper bound without fp16", sides=sides, full=full, errors=True
    )
    if sided.is_met:
        return sided
    return min((high, sided), key=lambda trial: total_shortfall(trial.values, setting.goals))


def fp16_set(desk: Desk, high: Trial) -> Plan[tuple[Trial, frozenset[int]] | None]:
    """The most sensitive groups of ``high`` to fp16, as few as possible.

    Returns:
        A trial that meets the goals and its fp16 groups; None if even all of them miss.
    """
    tables = yield from desk.tables(high, high.stage, formats=INTEGERS)
    stage = _FloatStage(desk, high.configuration.effective, tables, Precision.FP16, Treatment(), "int16/fp16")
    return (yield from stage.run())


def _with_fp16(desk: Desk, high: Trial, bottom: Assignment) -> Plan[None]:
    """All-int16 misses: the most sensitive groups to fp16, then the ratio on the int8/fp16 base."""
    reached = yield from fp16_set(desk, high)
    if reached is None:
        return
    ceiling, frozen = reached
    start = bottom.with_(dict.fromkeys(sorted(frozen), Precision.FP16))
    floor = yield from desk.evaluate(start, stage="int8/fp16", why="lower bound with the fp16 set", full=True)
    if floor.is_met:
        return
    tables = yield from desk.tables(floor, "int8/fp16", formats=(Format.INT8,))
    yield from mix(desk, Base(start, ceiling, tables, Treatment(), Format.INT16, "int8/int16/fp16"))


def _float_elementwise(desk: Desk) -> Plan[None]:
    setting = desk.setting
    top = uniform(setting.network, setting.target, "high")
    bottom = uniform(setting.network, setting.target, "low")
    high = yield from desk.evaluate(top, stage="gemm a16w16 + fp16", why="upper bound", full=True)
    treatment = Treatment()
    if not high.is_met:
        high, changes, treatment = yield from treat(desk, high)
        bottom = bottom.with_(changes)
    low = yield from desk.evaluate(bottom, stage="gemm a8w8 + fp16", why="lower bound", treatment=treatment, full=True)
    if low.is_met or not high.is_met:
        return
    tables = yield from desk.tables(low, "gemm a8w8 + fp16", formats=(Format.INT8,))
    yield from mix(desk, Base(bottom, high, tables, treatment, Format.INT16, "gemm int8/int16"))


def _to_float(desk: Desk) -> Plan[None]:
    setting = desk.setting
    top = uniform(setting.network, setting.target, "high")
    bottom = uniform(setting.network, setting.target, "low")
    high = yield from desk.evaluate(top, stage="all float", why="upper bound", full=True)
    low = yield from desk.evaluate(bottom, stage="all-int8", why="lower bound", full=True)
    if low.is_met or not high.is_met:
        return
    tables = yield from desk.tables(low, "all-int8", formats=(Format.INT8,))
    yield from mix(desk, Base(bottom, high, tables, Treatment(), Format.FP32, "int8/float"))


@dataclass(frozen=True)
class _FloatStage:
    """As few groups as possible to a float precision, by their rows, most sensitive first."""

    desk: Desk
    request: Assignment
    tables: Sequence[Table]
    precision: Precision
    treatment: Treatment
    label: str

    def run(self) -> Plan[tuple[Trial, frozenset[int]] | None]:
        """Return a trial that meets the goal and its float set, or None if even all of them miss it."""
        rows = merged_rows(self.tables)
        count = yield from fewest_doubling(len(rows), lambda k: self._passes(self._groups(rows[:k])))
        if count is None:
            return None
        groups = yield from self._prune(self._groups(rows[:count]))
        trial = yield from self._evaluate(groups)
        return trial, groups

    def _groups(self, rows: Sequence[Row]) -> frozenset[int]:
        return concerned_groups(self.desk.setting.network, rows)

    def _prune(self, groups: frozenset[int]) -> Plan[frozenset[int]]:
        """Leave out groups one by one while the goal is met."""
        if len(groups) > PRUNE_LIMIT:
            return groups
        for g in sorted(groups, reverse=True):
            if len(groups) > 1 and (yield from self._passes(groups - {g})):
                groups = groups - {g}
        return groups

    def _passes(self, groups: frozenset[int]) -> Plan[bool]:
        trial = yield from self._evaluate(groups)
        return trial.is_met

    def _evaluate(self, groups: frozenset[int]) -> Plan[Trial]:
        request = self.request.with_(dict.fromkeys(sorted(groups), self.precision))
        names = [self.desk.setting.network.groups[g].name for g in sorted(groups)]
        why = f"{len(names)} groups in {self.precision.value}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
        return (yield from self.desk.evaluate(request, stage=self.label, why=why, treatment=self.treatment))


def merged_rows(tables: Sequence[Table]) -> tuple[Row, ...]:
    """Rows of all tables in turns, most sensitive first, each point once."""
    seen: dict[tuple[str, int], Row] = {}
    longest = max((len(table.rows) for table in tables), default=0)
    for i in range(longest):
        for table in tables:
            if i < len(table.rows):
                row = table.rows[i]
                seen.setdefault((row.point.kind.value, row.point.index), row)
    return tuple(seen.values())
