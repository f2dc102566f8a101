"""What the guide does where gemm a16w16 with fp16 elsewhere still misses the goal.

1. A tensor kept in fp16 that exceeds binary16 in calibration: where its writer and readers are linear it is held
   pre-scaled by ``2**-k``; where one of them is not, that one runs in fp32.
2. Inputs of gemms that are still sensitive at a16w16 get a fixed range: the whole range seen in calibration.
3. Still missed: the most sensitive fp16 groups in fp32, as few as possible.

Coordinates (the grid of GridSample) are int16 with a fixed scale from the start: that is a rule of the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.graph.network import OpClass
from search.precision import Format, Precision
from search.quant.fp16 import LARGEST_FP16
from search.sensitivity.points import PointKind
from search.sensitivity.table import Row
from search.strategies.bisect import fewest_doubling
from search.strategies.desk import Desk
from search.strategies.trial import Trial
from search.targets.placement import Placement, place
from search.tasks import Plan

LINEAR = frozenset(
    {
        OpClass.GEMM,
        OpClass.ELEMENTWISE,
        OpClass.ACTIVATION,
        OpClass.POOL,
        OpClass.RESIZE,
        OpClass.MOVEMENT,
        OpClass.NORM,
    }
)
"""Classes through which a power of two can be carried (LayerNormalization does not see it at all)."""
HEADROOM_BITS = 1  # other data may exceed what calibration saw
SENSITIVE_SHARE = 0.05  # of the largest row: below it a point is not what makes the goal miss

Outcome = tuple[Trial, Mapping[int, Precision], Treatment]


def treat(desk: Desk, high: Trial) -> Plan[Outcome]:
    """Return the best trial reached, the groups it changed, and its treatment.

    Args:
        desk: The desk.
        high: The upper bound that misses the goal, run in full.
    """
    request, treatment = high.requested, Treatment()
    prescale, floats = overflowing(desk, high)
    if prescale or floats:
        request = request.with_(dict.fromkeys(floats, Precision.FP32))
        treatment = Treatment(prescale=prescale)
        why = f"{len(prescale)} tensors pre-scaled, {len(floats)} groups in fp32: beyond binary16"
        high = yield from desk.evaluate(request, stage="overflow treated", why=why, treatment=treatment, full=True)
    changes = dict.fromkeys(floats, Precision.FP32)
    if high.is_met:
        return high, changes, treatment
    tables = yield from desk.tables(high, "gemm a16w16 + fp16", formats=(Format.INT16, Format.FP16))
    rows = sensitive_rows([row for table in tables for row in table.rows])
    ranges = _fixed_ranges(desk, rows)
    if ranges:
        treatment = Treatment(prescale=prescale, ranges=ranges)
        why = f"fixed range on {len(ranges)} inputs"
        high = yield from desk.evaluate(request, stage="ranges fixed", why=why, treatment=treatment, full=True)
        if high.is_met:
            return high, changes, treatment
    return (yield from _to_fp32(desk, high, request, treatment, changes, rows))


def overflowing(desk: Desk, high: Trial) -> tuple[dict[int, int], list[int]]:
    """Tensors to pre-scale with their exponents, and groups to run in fp32, for everything beyond binary16."""
    setting = desk.setting
    placement = place(
        setting.network, setting.target, high.configuration.effective, output_precision=setting.output_precision
    )
    prescale: dict[int, int] = {}
    floats: set[int] = set()
    for t, ends in enumerate(setting.extremes):
        absmax = 0.0 if ends is None else max(-ends[0], ends[1])
        if absmax <= LARGEST_FP16 or not _is_fp16(desk, placement, t):
            continue
        around = {g for g, _ in setting.network.readers[t]} | {setting.network.tensors[t].writer}
        nonlinear = sorted(g for g in around if g is not None and setting.network.groups[g].op_class not in LINEAR)
        if nonlinear:
            floats.update(nonlinear)
        else:
            prescale[t] = ceil(log2(absmax / LARGEST_FP16)) + HEADROOM_BITS
    return prescale, sorted(floats)


def sensitive_rows(rows: list[Row]) -> list[Row]:
    """Rows above a share of the largest value, most sensitive first."""
    top = max((row.value for row in rows), default=0.0)
    return sorted((row for row in rows if row.value > SENSITIVE_SHARE * top), key=lambda row: -row.value)


def _is_fp16(desk: Desk, placement: Placement, tensor: int) -> bool:
    reads = {placement.read[g][s] for g, s in desk.setting.network.readers[tensor]}
    return Format.FP16 in {placement.stored[tensor], *reads}


def _fixed_ranges(desk: Desk, rows: list[Row]) -> dict[int, tuple[float, float]]:
    """Whole calibrated range of sensitive int16 tensors, unless the method in use covers it already."""
    if desk.setting.calibration.method_16 == "min_max":
        return {}
    found = {}
    for row in rows:
        ends = desk.setting.extremes[row.point.index] if row.point.kind is PointKind.ACTIVATION else None
        if ends is not None and row.point.fmt is Format.INT16:
            found[row.point.index] = ends
    return found


def _to_fp32(
    desk: Desk,
    high: Trial,
    request: Assignment,
    treatment: Treatment,
    changes: dict[int, Precision],
    rows: list[Row],
) -> Plan[Outcome]:
    """The most sensitive fp16 groups in fp32, as few as possible."""
    network = desk.setting.network
    order: dict[int, None] = {}
    for row in rows:
        if row.point.fmt is Format.FP16 and row.group is not None and not network.groups[row.group].is_gemm:
            order[row.group] = None
    groups = list(order)

    def raised(count: int) -> Assignment:
        return request.with_(dict.fromkeys(groups[:count], Precision.FP32))

    def probe(count: int) -> Plan[bool]:
        why = f"{count} most sensitive fp16 groups in fp32"
        trial = yield from desk.evaluate(raised(count), stage="fp16/fp32", why=why, treatment=treatment)
        return trial.is_met

    count = (yield from fewest_doubling(len(groups), probe)) if groups else None
    if count is None:
        return high, changes, treatment
    trial = yield from desk.evaluate(raised(count), stage="fp16/fp32", treatment=treatment, full=True)
    return trial, {**changes, **dict.fromkeys(groups[:count], Precision.FP32)}, treatment
