"""What the guide does where gemm a16w16 with fp16 elsewhere still misses the goal.

1. A tensor kept in fp16 that exceeds binary16 in calibration: where one of the fp16 groups around it is not linear,
   these groups run in fp32; a tensor that is still kept or read in fp16 then is held pre-scaled by ``2**-k``.
2. Inputs of gemms that are still sensitive at a16w16 get a fixed range: the whole range seen in calibration.
3. Still missed: the most sensitive fp16 groups in fp32, as few as possible.

Coordinates (the grid of GridSample) are int16 with a fixed scale from the start: that is a rule of the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.graph.network import Network, OpClass
from search.precision import Format, Precision
from search.quant.fp16 import LARGEST_FP16
from search.sensitivity.points import PointKind
from search.sensitivity.table import Row
from search.strategies.shared.bisect import fewest_doubling
from search.strategies.shared.promotion import concerned_groups
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.targets.placement import Placement, place
from search.tasks import Plan

LINEAR = frozenset(
    {
        OpClass.GEMM,
        OpClass.ELEMENTWISE,
        OpClass.ACTIVATION,
        OpClass.POOL,
        OpClass.RESIZE,
        OpClass.WARP,
        OpClass.MOVEMENT,
    }
)
"""Classes through which a power of two can be carried."""
INSENSITIVE = frozenset({"LayerNormalization"})
"""Operators that do not see the scale of their input at all."""
HEADROOM_BITS = 1  # other data may exceed what calibration saw
SENSITIVE_SHARE = 0.05  # of the largest row: below it a point is not what makes the goal miss

Outcome = tuple[Trial, Mapping[int, Precision], Treatment]


def treat(session: TrialSession, high: Trial) -> Plan[Outcome]:
    """Return the best trial reached, the groups it changed, and its treatment.

    Args:
        session: The session.
        high: The upper bound that misses the goal, run in full.
    """
    request, treatment = high.requested, Treatment()
    prescale, floats = overflowing(session, high)
    if prescale or floats:
        request = request.with_(dict.fromkeys(floats, Precision.FP32))
        treatment = Treatment(prescale=prescale)
        why = f"{len(prescale)} tensors pre-scaled, {len(floats)} groups in fp32: beyond binary16"
        high = yield from session.evaluate(request, stage="overflow treated", why=why, treatment=treatment, full=True)
    changes = dict.fromkeys(floats, Precision.FP32)
    if high.is_met:
        return high, changes, treatment
    tables = yield from session.tables(high, "gemm a16w16 + fp16", formats=(Format.INT16, Format.FP16))
    rows = sensitive_rows([row for table in tables for row in table.rows])
    ranges = _fixed_ranges(session, rows)
    if ranges:
        treatment = Treatment(prescale=prescale, ranges=ranges)
        why = f"fixed range on {len(ranges)} inputs"
        high = yield from session.evaluate(request, stage="ranges fixed", why=why, treatment=treatment, full=True)
        if high.is_met:
            return high, changes, treatment
    return (yield from _to_fp32(session, high, request, treatment, changes=changes, rows=rows))


def overflowing(session: TrialSession, high: Trial) -> tuple[dict[int, int], list[int]]:
    """Tensors to pre-scale with their exponents, and groups to run in fp32, for everything beyond binary16."""
    setting = session.setting
    network, effective = setting.network, high.configuration.effective
    beyond = {
        t: absmax
        for t, ends in enumerate(setting.extremes)
        if ends is not None and (absmax := max(-ends[0], ends[1])) > LARGEST_FP16
    }
    before = _placement(session, effective)
    floats: set[int] = set()
    for t in beyond:
        halves = _halves(network, effective, t)
        if _is_fp16(network, before, t) and not _are_linear(network, halves):
            floats |= halves
    request = high.requested.with_(dict.fromkeys(floats, Precision.FP32))
    raised = setting.legaliser.legalise(request).effective
    after = _placement(session, raised)
    prescale = {
        t: ceil(log2(absmax / LARGEST_FP16)) + HEADROOM_BITS
        for t, absmax in beyond.items()
        if _is_fp16(network, after, t) and _are_linear(network, _halves(network, raised, t))
    }
    return prescale, sorted(floats)


def _halves(network: Network, effective: Assignment, tensor: int) -> set[int]:
    """Groups in fp16 that write or read a tensor."""
    around = {g for g, _ in network.readers[tensor]} | {network.tensors[tensor].writer}
    return {g for g in around if g is not None and effective[g] is Precision.FP16}


def _are_linear(network: Network, groups: set[int]) -> bool:
    return all(network.groups[g].op_class in LINEAR or network.groups[g].op_type in INSENSITIVE for g in groups)


def _placement(session: TrialSession, effective: Assignment) -> Placement:
    setting = session.setting
    return place(setting.network, setting.target, effective, output_precision=setting.output_precision)


def _is_fp16(network: Network, placement: Placement, tensor: int) -> bool:
    reads = {placement.read[g][s] for g, s in network.readers[tensor]}
    return Format.FP16 in {placement.stored[tensor], *reads}


def sensitive_rows(rows: list[Row]) -> list[Row]:
    """Rows above a share of the largest value, most sensitive first."""
    top = max((row.value for row in rows), default=0.0)
    return sorted((row for row in rows if row.value > SENSITIVE_SHARE * top), key=lambda row: -row.value)


def _fixed_ranges(session: TrialSession, rows: list[Row]) -> dict[int, tuple[float, float]]:
    """Whole calibrated range of sensitive int16 tensors, unless the method in use covers it already."""
    if session.setting.calibration.method_16 == "min_max":
        return {}
    found = {}
    for row in rows:
        ends = session.setting.extremes[row.point.index] if row.point.kind is PointKind.ACTIVATION else None
        if ends is not None and row.point.fmt is Format.INT16:
            found[row.point.index] = ends
    return found


def _to_fp32(
    session: TrialSession,
    high: Trial,
    request: Assignment,
    treatment: Treatment,
    *,
    changes: dict[int, Precision],
    rows: list[Row],
) -> Plan[Outcome]:
    """The most sensitive fp16 groups in fp32, as few as possible."""
    network = session.setting.network
    halves = [g for g, p in enumerate(high.configuration.effective.precisions) if p is Precision.FP16]
    order: dict[int, None] = {}
    for row in rows:
        if row.point.fmt is Format.FP16:
            order |= dict.fromkeys(sorted(concerned_groups(network, [row]) & set(halves)))
    groups = list(order)

    def raised(count: int) -> Assignment:
        return request.with_(dict.fromkeys(groups[:count], Precision.FP32))

    def probe(count: int) -> Plan[bool]:
        why = f"{count} most sensitive fp16 groups in fp32"
        trial = yield from session.evaluate(raised(count), stage="fp16/fp32", why=why, treatment=treatment)
        return trial.is_met

    # All of them first: where fp16 is not the cause, one trial shows it.
    if not groups or not (yield from probe(len(groups))):
        return high, changes, treatment
    count = (yield from fewest_doubling(len(groups), probe)) or len(groups)
    trial = yield from session.evaluate(raised(count), stage="fp16/fp32", treatment=treatment)
    return trial, {**changes, **dict.fromkeys(groups[:count], Precision.FP32)}, treatment
