"""The form for a new study: its choices, what is there already, and the spec of an earlier study to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query
from starlette.responses import Response

from search.export.report import text
from search.spec.goals import LIMITS
from search.spec.job import JobSpec, SearchSettings
from search.spec.metric_names import METRICS
from search.targets.document import read_document, target_names
from service.http.context import PartsDep, Submitter
from service.store.db.collections import DATASETS, MODELS, Collection
from service.usecases.studies.reading import get_study
from service.usecases.uploads import sets
from service.web.frame import answer, frame_for, size

router = APIRouter(include_in_schema=False)
OFFERED = 100
"""Newest models and data sets that can be picked."""
LIMIT_WORDS = {
    "max_drop": "may drop by at most",
    "min_value": "must be at least",
    "min_ratio": "must keep at least this share of float",
    "max_increase": "may grow by at most",
    "max_value": "must be at most",
}
STRATEGY_WORDS = {
    "auto": "cheapest assignment, proven by sweeps",
    "ladder": "the vendor's tuning guide",
    "optuna": "TPE or NSGA-II",
    "exhaustive": "every assignment",
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An option of a list."""

    value: str
    told: str


@dataclass(frozen=True, kw_only=True)
class SubmitPage:
    """What the form offers.

    Attributes:
        targets: Chips; ``told`` is the default tool-chain.
        metrics: Name to what limits it takes.
        models: Newest first, as references.
        datasets: Newest first, as references.
        base: Spec of an earlier study without its defaults, else empty.
        like: What that study is called.
    """

    targets: tuple[Choice, ...]
    metrics: tuple[Choice, ...]
    limits: tuple[Choice, ...]
    strategies: tuple[Choice, ...]
    evaluators: tuple[str, ...]
    models: tuple[Choice, ...]
    datasets: tuple[Choice, ...]
    base: Mapping[str, Any]
    like: str

    @property
    def facts(self) -> dict[str, Any]:
        """What the script needs: which limits fit which metric, default tool-chains, the spec to begin with."""
        return {
            "limits": {name: _limits_of(name) for name in METRICS},
            "toolchains": {one.value: one.told for one in self.targets},
            "base": dict(self.base),
            "strategy": SearchSettings().strategy,
        }


@router.get("/submit")
def submit_page(parts: PartsDep, principal: Submitter, like: Annotated[str, Query(max_length=80)] = "") -> Response:
    """Show the form, filled in like an earlier study if one is named."""
    with parts.database.reading() as connection:
        earlier = get_study(connection, principal, like) if like else None
        models = sets.listing(connection, principal, MODELS, cursor=None, limit=OFFERED).rows
        datasets = sets.listing(connection, principal, DATASETS, cursor=None, limit=OFFERED).rows
    page = SubmitPage(
        targets=tuple(_target(name) for name in target_names()),
        metrics=tuple(Choice(value=name, told=_metric(name)) for name in METRICS),
        limits=tuple(Choice(value=name, told=LIMIT_WORDS[name]) for name in LIMITS),
        strategies=tuple(Choice(value=name, told=STRATEGY_WORDS.get(name, "")) for name in _options("strategy")),
        evaluators=_options("evaluator"),
        models=tuple(_held(one, "models") for one in models),
        datasets=tuple(_held(one, "datasets") for one in datasets),
        base={} if earlier is None else _without_defaults(earlier.spec),
        like="" if earlier is None else text.clean(earlier.name or earlier.id, 80),
    )
    return answer("submit.html.j2", frame_for(principal, "New study", "new"), page)


def _target(name: str) -> Choice:
    return Choice(value=name, told=str(read_document(name).get("toolchain_default") or ""))


def _metric(name: str) -> str:
    metric = METRICS[name]
    against = "the float model" if metric.fidelity else "labels"
    return f"{name}: {metric.direction} is better, against {against}"


def _limits_of(name: str) -> tuple[str, ...]:
    metric = METRICS[name]
    if metric.fidelity:
        return ("min_value",) if metric.direction == "higher" else ("max_value",)
    return (
        ("max_drop", "min_value", "min_ratio")
        if metric.direction == "higher"
        else (
            "max_increase",
            "max_value",
            "min_ratio",
        )
    )


def _options(field: str) -> tuple[str, ...]:
    """The texts a setting of the search takes."""
    annotation = SearchSettings.model_fields[field].annotation
    found = [one for part in (annotation, *get_args(annotation)) for one in get_args(part)]
    return tuple(dict.fromkeys(one for one in found if isinstance(one, str)))


def _held(one: Collection, place: str) -> Choice:
    name = text.clean(one.name or one.id, 80)
    return Choice(value=f"{place}/{one.id}", told=f"{name}, {size(one.size)}, {one.created:%d %b %Y}")


def _without_defaults(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec as somebody would write it; with its strategy, whatever the default is by now."""
    job = JobSpec.model_validate(dict(spec))
    short: dict[str, Any] = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**short, "search": {**short.get("search", {}), "strategy": job.search.strategy}}
