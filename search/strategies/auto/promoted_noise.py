"""What loud points keep of their noise at 16 bit and in fp16.

Noise falls by 2**-16 from int8 to int16, unless it was too loud to be measured: where rounding destroys the signal, its
power says nothing of what is left at 16 bit. Such points are measured alone in the finer formats, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.assignment import Assignment
from search.precision import Format, Precision
from search.sensitivity.points import Point, points_of
from search.sensitivity.table import Row, Table
from search.strategies.auto.noise_model import power
from search.strategies.auto.tuning import DEFAULT, NoiseTuning
from search.strategies.shared.attenuation import PromotedNoise
from search.strategies.shared.probing import errors_at
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.targets.placement import place_by
from search.tasks import Plan

FINER = ((Precision.A16W8, Precision.INT16), (Precision.A8W16, Precision.INT16), (Precision.FP16, Precision.FP16))


def promoted_noise(
    session: TrialSession, base: Trial, tables: Sequence[Table], tuning: NoiseTuning = DEFAULT.noise
) -> Plan[PromotedNoise]:
    """Measure the loud points of ``tables`` in every finer format the chip has for them."""
    loud = _loud(tables, tuning)
    found: dict[Point, dict[Format, float]] = {}
    for gemm, other in FINER if loud else ():
        raised = _raised(session, base.configuration.effective, gemm, other)
        points = {
            (point.kind, point.index): point
            for point in points_of(session.setting.network, place_by(session.setting.book, raised), (other.activation,))
        }
        wanted = [
            point
            for point in loud
            if (point.kind, point.index) in points and other.activation not in found.get(point, {})
        ]
        if not wanted:
            continue
        errors = yield from errors_at(session.setting, base, raised, [points[p.kind, p.index] for p in wanted], tables)
        for i, point in enumerate(wanted):
            shares = [
                power(errors[output][i], loud[point][output].metric)
                / power(loud[point][output].value, loud[point][output].metric)
                for output in errors
                if output in loud[point]
            ]
            found.setdefault(point, {})[other.activation] = max(shares)
    return found


def _loud(tables: Sequence[Table], tuning: NoiseTuning) -> dict[Point, dict[str, Row]]:
    """The loudest points, each with its rows by output."""
    rows = [
        row
        for table in tables
        for row in table.rows
        if row.metric == "cosine" and power(row.value, row.metric) > tuning.loud
    ]
    found: dict[Point, dict[str, Row]] = {}
    for row in sorted(rows, key=lambda row: -row.value):
        if row.point in found or len(found) < tuning.loud_points:
            found.setdefault(row.point, {})[row.output] = row
    return found


def _raised(session: TrialSession, base: Assignment, gemm: Precision, other: Precision) -> Assignment:
    """Every group at the finer precision where the chip has it."""
    setting = session.setting
    return base.with_(
        {
            g: wanted
            for g, group in enumerate(setting.network.groups)
            for wanted in (gemm if group.is_gemm else other,)
            if wanted in setting.pins.allowed[g]
        }
    )
