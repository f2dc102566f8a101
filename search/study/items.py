"""The items every study begins with, and the parameters its items share.

An item's parameters hold everything its result depends on besides the model and the environment: an incomplete set
would bring back stale results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from search.canonical import digest_json
from search.export.overrides_input import overrides_of
from search.graph.network import Network
from search.shares import cut_samples
from search.spec.goals import Goal
from search.strategies.auto.one_precision import has_one_precision, sample_sizes
from search.study.described import Described
from search.targets.identity import scale_identity
from search.tasks import Item, ItemResult
from search.work.problem import Problem


def check_item(problem: Problem) -> Item:
    """The first item of every study."""
    params = {
        "evaluation": problem.evaluation,
        "calibration": problem.calibration,
        "confirmation_share": problem.spec.data.confirmation_share,
        "seed": problem.spec.search.seed,
        **_reading(problem),
    }
    if problem.overrides is not None:
        params["override_tensors"] = sorted(overrides_of(problem.overrides))
    return Item("check", problem.context, params)


def collect_item(problem: Problem, described: Described) -> Item:
    """Histograms of every tensor on the calibration samples."""
    available = int(described.check.data["n_calibration"])
    wanted = problem.spec.calibration.samples
    params = {
        "calibration": problem.calibration,
        **_reading(problem),
        "samples": available if wanted == "all" else min(int(wanted), available),
        "seed": problem.spec.search.seed if problem.is_random else 0,
    }
    if chooses_samples(problem):
        params["sizes"] = list(sample_sizes(params["samples"]))
        params["order_seed"] = problem.spec.search.seed
    work = float(described.network.total_macs) * params["samples"]
    return Item("collect", problem.context, params, work=work)


def calibrate_item(problem: Problem, collect: Item, collected: ItemResult) -> Item:
    """The ranges of every method that may be used."""
    params = {
        "histograms": collected.blobs["histograms"],
        "bounds": collected.data["bounds"],
        "integral": collected.data["integral"],
        "samples": collect.params["samples"],
        "methods": [list(pair) for pair in _methods(problem)],
        "rule": problem.target.activation_rule,
    }
    if chooses_samples(problem):
        params["sizes"] = collect.params["sizes"]
        params["decided"] = [sorted(problem.spec.inputs), sorted(problem.spec.calibration.overrides)]
        params["tensor_overrides"] = None if problem.overrides is None else digest_json(problem.overrides)
    return Item("calibrate", problem.context, params)


def chooses_samples(problem: Problem) -> bool:
    """Whether the number of calibration samples is searched, too."""
    return has_one_precision(problem.target) or problem.spec.search.strategy == "optuna"


def float_items(problem: Problem, described: Described) -> tuple[Item, ...]:
    """The float model on all evaluation samples, in ranges of the order: the outputs that some goal reads."""
    read = {name for goal in described.goals for name in goal.reads(described.network.outputs)}
    macs, n = float(described.network.total_macs), described.n_samples
    params = {
        **evaluation_data(problem),
        "outputs": [name for name in described.network.outputs if name in read],
    }
    ranges = cut_samples(0, n, batch=described.batch, macs=macs, task_macs=problem.spec.search.task_macs, most=n)
    if len(ranges) == 1:
        return (Item("float", problem.context, params, work=macs * n),)
    return tuple(
        Item("float", problem.context, {**params, "range": [start, stop]}, work=macs * (stop - start))
        for start, stop in ranges
    )


def baseline_item(problem: Problem, described: Described, forward: Sequence[ItemResult]) -> Item:
    """What the float model is worth by the metrics of the goals; puts its outputs together if they come in ranges."""
    kept = [result.blobs["outputs"] for result in forward if "outputs" in result.blobs]
    params = {
        **evaluation_data(problem),
        "uses": metric_uses(problem, described.goals),
        "float": kept[0] if len(kept) == 1 else kept or None,
    }
    work = 0.0 if kept else float(described.network.total_macs) * described.n_samples
    return Item("baseline", problem.context, params, work=work)


def whole_float(forward: Sequence[ItemResult], baseline: ItemResult) -> ItemResult:
    """The float model on all samples as one result: seconds, smallest and largest inputs, outputs."""
    first = forward[0]
    if len(forward) == 1:
        return first
    ends: dict[str, list[float]] = {}
    for result in forward:
        for name, (low, high) in result.data["inputs"].items():
            known = ends.get(name, [low, high])
            ends[name] = [min(known[0], low), max(known[1], high)]
    blobs = {"outputs": baseline.blobs["outputs"]} if "outputs" in baseline.blobs else {}
    seconds = sum(result.seconds for result in forward)
    reused = all(result.reused for result in forward)
    return replace(first, data={"inputs": ends}, blobs=blobs, seconds=seconds, reused=reused)


def _methods(problem: Problem) -> tuple[tuple[str, int], ...]:
    """Every ``(method, bits)`` that may be used."""
    extra = {override.method for override in problem.spec.calibration.overrides.values() if override.method}
    pairs = [(method, bits) for bits in (8, 16) for method in (*methods_by_bits(problem, bits), *sorted(extra))]
    return tuple(dict.fromkeys(pairs))


def methods_by_bits(problem: Problem, bits: int) -> tuple[str, ...]:
    """Methods to try at one width, in the order of the spec or the target."""
    defaults = problem.target.calibration
    return problem.spec.calibration.methods or defaults.methods_8 if bits == 8 else defaults.methods_16


def evaluation_data(problem: Problem) -> dict[str, Any]:
    """Which samples, in which order."""
    return {**sample_set(problem), "seed": problem.spec.search.seed}


def output_precision(problem: Problem) -> dict[str, str]:
    """Model output to the precision that the spec asks for."""
    return {name: settings.precision for name, settings in problem.spec.outputs.items()}


def sample_set(problem: Problem) -> dict[str, Any]:
    """Which samples; their indices mean the same wherever this is equal."""
    share = problem.spec.data.confirmation_share
    return {
        "evaluation": problem.evaluation,
        "confirmation_share": share,
        **_reading(problem),
        **({"split_seed": problem.spec.search.seed} if share else {}),
    }


def quantization(problem: Problem, network: Network) -> dict[str, Any]:
    """Everything that shapes a quantized model besides its configuration and what the target makes of that."""
    spec = problem.spec
    return {
        "scales": scale_identity(network, problem.target),
        "inputs": {name: settings.model_dump(mode="json") for name, settings in spec.inputs.items()},
        "overrides": {name: one.model_dump(mode="json") for name, one in spec.calibration.overrides.items()},
        "weights": spec.calibration.weights.model_dump(mode="json"),
        **({} if problem.overrides is None else {"tensor_overrides": digest_json(problem.overrides)}),
    }


def _reading(problem: Problem) -> dict[str, Any]:
    """What shapes how files become samples."""
    preprocess = problem.spec.data.preprocess
    stated = {name: reading for name, one in sorted(problem.spec.inputs.items()) if (reading := one.reading)}
    return {
        "preprocess": None if preprocess is None else preprocess.model_dump(mode="json"),
        **({"inputs": stated} if stated else {}),
    }


def metric_uses(problem: Problem, goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """The metrics of the goals as item parameters."""
    return [
        {
            "id": goal.id,
            "metric": goal.metric,
            "output": goal.output,
            "labels": goal.labels,
            "percentile": goal.percentile if goal.metric == "atol" else None,
            **({"graph": problem.metrics[goal.metric], "direction": goal.direction} if goal.is_custom else {}),
        }
        for goal in goals
    ]


def knight_params(problem: Problem, uses: list[dict[str, Any]]) -> dict[str, Any]:
    """What the files depend on besides the other parameters of ``export``."""
    data = problem.spec.data
    return {
        "uses": uses[:1],
        "calibration": problem.calibration,
        "files": [None if data.is_random else _file_name(data.calibration), _file_name(data.evaluation)],
    }


def _file_name(path: str | None) -> str | None:
    return None if path is None else f"./{PurePath(path).name}"
