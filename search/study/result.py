"""The result document and the files that follow from stored results: no model, no data, no clock.

Numbers that were measured (seconds) are given by the caller and are the only fields in which equal studies differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.files import evidence_files, layer_files, map_file
from search.export.report.render import render_report
from search.strategies.goals import GoalState
from search.strategies.trial import Trial
from search.study.calibration_result import calibration_result
from search.study.findings import findings_of
from search.study.lines import failure, sensitivity_lines, trial_lines
from search.study.metric_entries import metric_entries
from search.study.plan import Finished
from search.study.views import Views, training_plan, views_of
from search.work.problem import Problem

SCHEMA = "bitbudget.result/1"
Blob = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the driver measured.

    Attributes:
        seconds: Search time over all sittings.
        stopped: Why the study ended early, or None.
    """

    seconds: float
    stopped: str | None


def compose(problem: Problem, finished: Finished, measured: Measured, blob: Blob) -> dict[str, bytes]:
    """Return every file of the output directory by relative path; ``result.json`` last."""
    files = _exported(finished, blob)
    result = result_document(problem, finished, measured, blob)
    trials = trial_lines(finished)
    sensitivity = sensitivity_lines(finished)
    metrics = [goal.id for goal in _goals(finished)]
    files |= evidence_files(sensitivity, trials, metrics=metrics)
    views = views_of(finished, [entry["trial"] for entry in result["front"]], blob)
    files |= {} if views is None else {**layer_files(views.layers), **map_file(views.map)}
    files |= training_plan(finished, result, views, files)
    result["artifacts"] = _artifacts([*files, *large_files(finished), "report.html"])
    files["report.html"] = _report(result, finished, views).encode()
    files["result.json"] = (json.dumps(result, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
    return files


def result_document(problem: Problem, finished: Finished, measured: Measured, blob: Blob) -> dict[str, Any]:
    """Return the value of ``result.json`` without its artifacts."""
    chosen, spec = finished.chosen, problem.spec
    return {
        "schema": SCHEMA,
        "outcome": _outcome(problem, chosen),
        "stopped": measured.stopped,
        "target": problem.target.name,
        "toolchain": None if problem.target.toolchain is None else str(problem.target.toolchain),
        "strategy": spec.search.strategy,
        "seed": spec.search.seed,
        "verified": _verified(problem),
        "metrics": metric_entries(problem, finished),
        "cost": _cost(finished),
        "assignment": _assignment(finished, blob),
        "outputs": finished.results["export"].data["outputs"] if "export" in finished.results else {},
        "calibration": calibration_result(problem, finished),
        "search": {
            "evaluations": _evaluations(finished),
            "full_set_equivalents": _equivalents(finished),
            "seconds": round(measured.seconds, 3),
            "float_evaluation_seconds": _seconds(finished, "float", "baseline"),
        },
        "minimal": _minimal(finished, measured),
        "front": _front(finished),
        "findings": [finding.to_json() for finding in findings_of(problem, finished)],
    }


def _trials(finished: Finished) -> Sequence[Trial]:
    return finished.desk.trials if finished.desk is not None else ()


def _goals(finished: Finished) -> tuple[GoalState, ...]:
    return finished.desk.setting.goals if finished.desk is not None else ()


def _verified(problem: Problem) -> str:
    """By what the verdict was reached: integer arithmetic, Q/DQ emulation, or the runtime it will be deployed on."""
    if problem.evaluator == "integer":
        return "simulator"
    return "runtime" if problem.is_deployed_here else "fake_quant"


def _minimal(finished: Finished, measured: Measured) -> bool | None:
    """Whether no group can go lower alone; null when not met, stopped, or the strategy makes no such claim."""
    if finished.desk is None or finished.chosen is None or not finished.chosen.is_met or measured.stopped is not None:
        return None
    return finished.desk.minimal


def _outcome(problem: Problem, chosen: Trial | None) -> str:
    if problem.evaluation is None:
        return "not_evaluated"
    return "met" if chosen is not None and chosen.is_met else "not_met"


def _cost(finished: Finished) -> dict[str, Any]:
    if finished.desk is None:
        return {
            "unit": "index",
            "chosen": None,
            "all_low": 1.0,
            "all_high": None,
            "source": "assumed",
            "assumed_share": None,
            "interval": None,
        }
    setting, chosen = finished.desk.setting, finished.chosen
    low, high = setting.bounds
    assignment = low if chosen is None else chosen.configuration.effective
    reported = None if chosen is None and setting.n_samples else setting.cost.index(assignment)
    bar = None if reported is None else setting.cost.error_bar(reported)
    return {
        "unit": setting.cost.unit,
        "chosen": None if reported is None else setting.cost.in_unit(reported),
        "all_low": setting.cost.in_unit(setting.cost.index(low)),
        "all_high": setting.cost.in_unit(setting.cost.index(high)),
        "source": "assumed" if setting.cost.unit == "index" else "measured",
        "assumed_share": setting.cost.assumed_share(assignment),
        "interval": None if bar is None else list(bar),
    }


def _trial_cost(finished: Finished, trial: Trial) -> float:
    """Cost of a trial in the unit of the result."""
    return trial.cost if finished.desk is None else finished.desk.setting.cost.in_unit(trial.cost)


def _assignment(finished: Finished, blob: Blob) -> dict[str, Any]:
    export = finished.results.get("export")
    if export is None:
        return {}
    found: dict[str, Any] = json.loads(blob(export.blobs["nodes"]))
    return found


def _evaluations(finished: Finished) -> int:
    return sum(trial.evaluated for trial in _trials(finished))


def _equivalents(finished: Finished) -> float:
    if finished.desk is None or not finished.desk.setting.n_samples:
        return 0.0
    both = finished.desk.setting.evaluator == "integer"
    run = sum(
        trial.n_run + trial.n_again + (trial.exported.n_run if both and trial.exported is not None else 0)
        for trial in _trials(finished)
        if trial.evaluated
    )
    return round(run / finished.desk.setting.n_samples, 4)


def _seconds(finished: Finished, *roles: str) -> float | None:
    found = [finished.results[role].seconds for role in roles if role in finished.results]
    return round(sum(found), 3) if found else None


def _front(finished: Finished) -> list[dict[str, Any]]:
    """Complete trials that no other complete trial beats in cost and in every value."""
    lower = frozenset(goal.id for goal in _goals(finished) if goal.metric.direction == "lower")
    complete = [trial for trial in _trials(finished) if trial.is_complete]
    kept: list[Trial] = []
    for trial in sorted(complete, key=lambda trial: (trial.cost, trial.number)):
        # Whoever beats it is no dearer: among those kept so far, or of the same cost and still to come.
        if not any(_beats(other, trial, lower) for other in kept):
            kept = [*(one for one in kept if not _beats(trial, one, lower)), trial]
    return [
        {"trial": trial.number, "cost": _trial_cost(finished, trial), "values": dict(trial.values)} for trial in kept
    ]


def _beats(a: Trial, b: Trial, lower: frozenset[str]) -> bool:
    """Whether ``a`` is no worse than ``b`` everywhere and better somewhere (of equals, the earlier).

    Args:
        a: A complete trial.
        b: Another one.
        lower: Goals whose values are better when lower.
    """
    gains = [a.cost - b.cost]  # negative: a is better
    for name, x in a.values.items():
        y = b.values[name]
        if x is None or y is None:
            return False
        gains.append(x - y if name in lower else y - x)
    if max(gains) > 0:
        return False
    return min(gains) < 0 or (a is not b and a.number < b.number)


def _exported(finished: Finished, blob: Blob) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if "recheck" in finished.results:
        files["model.qdq.onnx"] = blob(finished.results["recheck"].blobs["model"])
    export = finished.results.get("export")
    for name, digest in sorted(export.blobs.items()) if export is not None else ():
        if name.startswith("file:"):
            files[name.removeprefix("file:")] = blob(digest)
    return files


def large_files(finished: Finished) -> dict[str, str]:
    """Files to be taken from the blob store one by one: relative path to blob digest."""
    layers = [result for role, result in finished.results.items() if role.startswith("layers:")]
    return {name.removeprefix("file:"): digest for result in layers for name, digest in sorted(result.blobs.items())}


_NAMES = {"layers.json": "layers_json", "model.qdq.onnx": "qdq", "report.html": "report"}


def _artifacts(paths: Sequence[str]) -> dict[str, str]:
    """Short name to relative path of every delivered file."""
    return {_NAMES.get(path, path.rsplit(".", 1)[0].replace("/", "_")): path for path in sorted(paths)}


def _report(result: Mapping[str, Any], finished: Finished, views: Views | None) -> str:
    shares = finished.results["export"].data["shares"] if "export" in finished.results else []
    rows = [
        {
            "name": name,
            "op_type": _op_type(finished, entry["group"]),
            "group": entry["group"],
            "requested": entry["requested"],
            "effective": entry["precision"],
            "reason": entry["why"],
            "share": shares[int(entry["group"][1:])]
            if entry["group"] and entry["role"] in ("compute", "float")
            else 0.0,
        }
        for name, entry in result["assignment"].items()
        if entry["group"] is not None
    ]
    trials = [
        {
            "trial": trial.number,
            "stage": trial.stage,
            "cost": _trial_cost(finished, trial),
            "samples": trial.n_run,
            "n_samples": finished.desk.setting.n_samples if finished.desk is not None else 0,
            "values": dict(trial.values),
            "verdict": trial.verdict.value,
            "why": "; ".join(told for told in (trial.why, failure(trial)) if told),
            "ratio": trial.ratio,
        }
        for trial in _trials(finished)
    ]
    lines = [{name: getattr(line, name) for name in line.__slots__} for line in sensitivity_lines(finished)]
    shown = {} if views is None else {"map": views.map, "layers": views.layers}
    return render_report(result, trials=trials, sensitivity=lines, qconfig=rows, views=shown)


def _op_type(finished: Finished, group: str | None) -> str:
    if group is None or finished.desk is None:
        return ""
    return finished.desk.setting.network.groups[int(group[1:])].op_type
