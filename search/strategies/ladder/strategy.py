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
from search.strategies.ladder.mix import Base, mix
from search.strategies.shared.bisect import fewest_doubling
from search.strategies.shared.goals import total_shortfall
from search.strategies.shared.promotion import Promotion, concerned_groups
from search.strategies.shared.session import TrialSession
from search.strategies.shared.treatments import treat
from search.strategies.shared.trial import Trial
from search.targets.legalise import uniform
from search.targets.target import Target
from search.tasks import Plan

INTEGERS = (Format.INT8, Format.INT16)
PRUNE_LIMIT = 6  # float groups tried one by one for leaving; larger sets only shrink by bisection


def ladder(session: TrialSession) -> Plan[None]:
    """Run the whole ladder; the trials on the session are its result."""
    if high_format(session.setting.target) is Format.FP32:
        yield from _to_float(session)
    elif has_float_elementwise(session.setting.target):
        yield from _float_elementwise(session)
    else:
        yield from _integer(session)


def high_format(target: Target) -> Format:
    """Format of activations at the upper end of the target."""
    return target.all_high_gemm.activation


def has_float_elementwise(target: Target) -> bool:
    """Whether non-gemm groups run in fp16 by default."""
    return target.all_low_other is Precision.FP16


def _integer(session: TrialSession) -> Plan[None]:
    setting = session.setting
    top = uniform(setting.network, setting.target, "high")
    bottom = uniform(setting.network, setting.target, "low")
    high = yield from session.evaluate(top, stage="all-int16", why="upper bound", full=True)
    low = yield from session.evaluate(bottom, stage="all-int8", why="lower bound", full=True)
    if low.is_met:
        return
    if high.is_met:
        tables = yield from session.tables(low, "all-int8", formats=(Format.INT8,))
        yield from mix(session, Base(bottom, high, tables, Treatment(), Format.INT16, "int8/int16"))
        return
    tables = yield from session.tables(low, "all-int8", formats=(Format.INT8,))
    best = yield from one_sided(session, high, bottom, tables)
    if best.is_met:
        yield from mix(session, Base(bottom, best, tables, Treatment(), Format.INT16, "int8/int16"))
        return
    yield from _with_fp16(session, best, bottom)


def one_sided(
    session: TrialSession, high: Trial, bottom: Assignment, tables: Sequence[Table], *, full: bool = True
) -> Plan[Trial]:
    """Each gemm with 16 bit on its more sensitive side: more than all-int16 where one side only may have it.

    Returns:
        That trial, or ``high`` where that misses the goals by less.
    """
    setting = session.setting
    wish = Assignment(tuple(Precision.A16W16 if group.is_gemm else Precision.INT16 for group in setting.network.groups))
    sides = Promotion(setting.book, bottom, Format.INT16).sides(tables)
    sided = yield from session.evaluate(
        wish, stage="int16 on the sensitive side", why="upper bound without fp16", sides=sides, full=full, errors=True
    )
    if sided.is_met:
        return sided
    return min((high, sided), key=lambda trial: total_shortfall(trial.values, setting.goals))


def fp16_set(session: TrialSession, high: Trial) -> Plan[tuple[Trial, frozenset[int]] | None]:
    """The most sensitive groups of ``high`` to fp16, as few as possible.

    Returns:
        A trial that meets the goals and its fp16 groups; None if even all of them miss.
    """
    tables = yield from session.tables(high, high.stage, formats=INTEGERS)
    stage = _FloatStage(session, high.configuration.effective, tables, Precision.FP16, Treatment(), "int16/fp16")
    return (yield from stage.run())


def _with_fp16(session: TrialSession, high: Trial, bottom: Assignment) -> Plan[None]:
    """All-int16 misses: the most sensitive groups to fp16, then the ratio on the int8/fp16 base."""
    reached = yield from fp16_set(session, high)
    if reached is None:
        return
    ceiling, frozen = reached
    start = bottom.with_(dict.fromkeys(sorted(frozen), Precision.FP16))
    floor = yield from session.evaluate(start, stage="int8/fp16", why="lower bound with the fp16 set", full=True)
    if floor.is_met:
        return
    tables = yield from session.tables(floor, "int8/fp16", formats=(Format.INT8,))
    yield from mix(session, Base(start, ceiling, tables, Treatment(), Format.INT16, "int8/int16/fp16"))


def _float_elementwise(session: TrialSession) -> Plan[None]:
    setting = session.setting
    top = uniform(setting.network, setting.target, "high")
    bottom = uniform(setting.network, setting.target, "low")
    high = yield from session.evaluate(top, stage="gemm a16w16 + fp16", why="upper bound", full=True)
    treatment = Treatment()
    if not high.is_met:
        high, changes, treatment = yield from treat(session, high)
        bottom = bottom.with_(changes)
    low = yield from session.evaluate(
        bottom, stage="gemm a8w8 + fp16", why="lower bound", treatment=treatment, full=True
    )
    if low.is_met or not high.is_met:
        return
    tables = yield from session.tables(low, "gemm a8w8 + fp16", formats=(Format.INT8,))
    yield from mix(session, Base(bottom, high, tables, treatment, Format.INT16, "gemm int8/int16"))


def _to_float(session: TrialSession) -> Plan[None]:
    setting = session.setting
    top = uniform(setting.network, setting.target, "high")
    bottom = uniform(setting.network, setting.target, "low")
    high = yield from session.evaluate(top, stage="all float", why="upper bound", full=True)
    low = yield from session.evaluate(bottom, stage="all-int8", why="lower bound", full=True)
    if low.is_met or not high.is_met:
        return
    tables = yield from session.tables(low, "all-int8", formats=(Format.INT8,))
    yield from mix(session, Base(bottom, high, tables, Treatment(), Format.FP32, "int8/float"))


@dataclass(frozen=True)
class _FloatStage:
    """As few groups as possible to a float precision, by their rows, most sensitive first."""

    session: TrialSession
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
        return concerned_groups(self.session.setting.network, rows)

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
        names = [self.session.setting.network.groups[g].name for g in sorted(groups)]
        why = f"{len(names)} groups in {self.precision.value}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
        return (yield from self.session.evaluate(request, stage=self.label, why=why, treatment=self.treatment))


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
