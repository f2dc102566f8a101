"""How much of the compute of a finished study is in integers."""

from __future__ import annotations

from search.diagnosis.quantized import quantized_record
from search.records.quantized import QuantizedRecord
from search.study.plan import Finished
from search.work.problem import Problem


def quantized_of(problem: Problem, finished: Finished) -> QuantizedRecord | None:
    """Return the shares of what is delivered: the chosen trial, or the lower bound where nothing was evaluated."""
    if finished.session is None:
        return None
    setting, chosen = finished.session.setting, finished.chosen
    return quantized_record(
        setting.network,
        [allowed.choices for allowed in setting.book.allowed],
        setting.bounds[0] if chosen is None else chosen.configuration.effective,
        is_float_allowed=problem.spec.allow_float,
    )
