"""What people look at beside the result: the network with its precisions, float against quantized, what to train."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from search.export.precision_map import Mapped, precision_map
from search.export.qat_plan import Missed, qat_plan
from search.records.result import Result
from search.records.verdict import Outcome
from search.strategies.desk import Desk
from search.strategies.trial import Trial
from search.study.layer_results import layers_document
from search.study.lines import sensitivity_lines
from search.study.plan import Finished, achieved_ratio, delivered
from search.targets.legalise import uniform
from search.targets.placement import place_by


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
    if result.outcome is not Outcome.NOT_MET or finished.desk is None or finished.chosen is None or views is None:
        return {}
    missed = Missed(
        result=result,
        ratio=achieved_ratio(finished.desk, finished.chosen),
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
    profile = finished.results.get("profile")
    if profile is None or finished.desk is None:
        return None
    effective = delivered(finished.desk, finished.chosen)[0].effective
    tensors = blob(profile.blobs["tensors"])
    return Views(
        map=_map(finished.desk, finished.chosen, result),
        layers=layers_document(finished.desk.setting.network, effective, profile, tensors),
    )


def _map(desk: Desk, chosen: Trial | None, result: Result) -> dict[str, Any]:
    setting = desk.setting
    configuration, reasons = delivered(desk, chosen)
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
            assignments={trial.number: trial.configuration.effective for trial in desk.trials},
            front={point.trial for point in result.front},
            chosen=result.chosen_trial,
        )
    )
