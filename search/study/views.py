"""What people look at beside the result: the network with its precisions, float against quantized, what to train."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from search.export.precision_map import Mapped, precision_map
from search.export.qat_plan import Missed, qat_plan
from search.records.result import Result
from search.records.verdict import Outcome
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.study.delivering import achieved_ratio, delivered
from search.study.layer_results import layers_document
from search.study.lines import sensitivity_lines
from search.study.plan import Finished
from search.targets.legalise import uniform
from search.targets.placement import place_by
from search.work.kinds.profile import TENSORS


@dataclass(frozen=True)
class Views:
    """Documents that the report and the dashboard draw.

    Attributes:
        map: Value of ``precision_map.json``.
        layers: Value of ``layers.json``.
    """

    map: dict[str, Any]
    layers: dict[str, Any]


def training_plan(finished: Finished, result: Result, views: Views | None, files: Collection[str]) -> dict[str, bytes]:
    """Return ``qat_plan.md`` of a study that delivers something and misses its goal; else nothing."""
    if result.quantized is not None and result.quantized.is_nothing:
        return {}  # there is nothing to train for
    if result.outcome is not Outcome.NOT_MET or finished.session is None or finished.chosen is None or views is None:
        return {}
    missed = Missed(
        result=result,
        ratio=achieved_ratio(finished.session, finished.chosen),
        sensitivity=sensitivity_lines(finished),
        growth=views.layers["summary"],
        files=files,
    )
    return {"qat_plan.md": qat_plan(missed)}


def views_of(finished: Finished, result: Result, blob: Callable[[str], bytes]) -> Views | None:
    """Return the documents of what was delivered; None if nothing was.

    Args:
        finished: The study.
        result: What it has to say.
        blob: Blob by digest.
    """
    profile = finished.results.profile
    if profile is None or finished.session is None:
        return None
    effective = delivered(finished.session, finished.chosen)[0].effective
    tensors = blob(profile.blobs[TENSORS])
    return Views(
        map=_map(finished.session, finished.chosen, result),
        layers=layers_document(finished.session.setting.network, effective, profile.value, tensors),
    )


def _map(session: TrialSession, chosen: Trial | None, result: Result) -> dict[str, Any]:
    setting = session.setting
    configuration, reasons = delivered(session, chosen)
    low = uniform(setting.network, setting.target, "low")
    return precision_map(
        Mapped(
            network=setting.network,
            requested=low if chosen is None else chosen.requested,
            effective=configuration.effective,
            reasons=reasons,
            placement=place_by(setting.book, configuration.effective),
            breakdown=setting.cost.breakdown(configuration.effective),
            trials=result.trials,
            assignments={trial.number: trial.configuration.effective for trial in session.trials},
            front={point.trial for point in result.front},
            chosen=result.chosen_trial,
        )
    )
