"""The result document and the files that follow from stored results: no model, no data, no clock.

Numbers that were measured (seconds) are given by the caller and are the only fields in which equal studies differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from search.diagnosis.delivered import missing_findings
from search.export.attempts import Attempts
from search.export.files import evidence_files, layer_files, map_file
from search.export.report.assignment import OperatorRow
from search.export.report.render import render_report
from search.export.sensitivity_table import SensitivityLine
from search.records.document import read, to_json
from search.records.finding import Finding
from search.records.front import front
from search.records.missing import Missing
from search.records.quantized import QuantizedRecord
from search.records.result import CostRecord, EffortRecord, FrontPoint, NodeRecord, OutputRecord, Result
from search.records.verdict import Outcome
from search.strategies.shared.goals import GoalState
from search.strategies.shared.trial import Trial
from search.study.calibration_result import calibration_result
from search.study.finalists import DYNAMIC_FILE
from search.study.findings import by_severity, findings_of
from search.study.goal_records import goal_records
from search.study.lines import sensitivity_lines
from search.study.plan import Finished
from search.study.provenance import Circumstances, provenance_of
from search.study.quantized import quantized_of
from search.study.timing import timing_of
from search.study.trial_records import trial_records
from search.study.views import Views, training_plan, views_of
from search.work.kinds.export import FILE, NODES
from search.work.problem import Problem

Blob = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the driver measured.

    Attributes:
        seconds: Search time over all sittings.
        stopped: Why the study ended early, or None.
        made: Command, machine and date.
    """

    seconds: float
    stopped: str | None
    made: Circumstances | None = None


def compose(problem: Problem, finished: Finished, measured: Measured, blob: Blob) -> dict[str, bytes]:
    """Return every file of the output directory by relative path; ``result.json`` last.

    A file that cannot be written is a finding; the answer of the search stands.
    """
    attempts = Attempts(_exported(finished, blob))
    result = study_result(problem, finished, measured, blob)
    sensitivity = attempts.value("sensitivity.csv", lambda: sensitivity_lines(finished)) or []
    goals = [goal.id for goal in _goals(finished)]
    attempts.take("trials.csv", lambda: evidence_files(sensitivity, result.trials, goals=goals))
    views = attempts.value("precision_map.json", lambda: views_of(finished, result, blob))
    if views is not None:
        attempts.take("layers.csv", lambda: layer_files(views.layers))
        attempts.take("precision_map.json", lambda: map_file(views.map))
    attempts.take("qat_plan.md", lambda: training_plan(finished, result, views, attempts.files))
    result = replace(result, findings=_with_missing(result.findings, attempts.missing))
    result = replace(result, artifacts=_artifacts([*attempts.files, *large_files(finished), REPORT]))
    before = len(attempts.missing)
    attempts.write({REPORT: lambda: _report(result, finished, sensitivity, views)})
    if len(attempts.missing) > before:
        kept = {name: path for name, path in result.artifacts.items() if path != REPORT}
        result = replace(result, findings=_with_missing(result.findings, attempts.missing[before:]), artifacts=kept)
    return {**attempts.files, "result.json": result.to_text().encode()}


REPORT = "report.html"


def _report(result: Result, finished: Finished, sensitivity: Sequence[SensitivityLine], views: Views | None) -> str:
    shown = {} if views is None else {"map": views.map, "layers": views.layers}
    rows = [to_json(line) for line in sensitivity]
    return render_report(result, sensitivity=rows, operators=_operators(result, finished), views=shown)


def _with_missing(findings: Sequence[Finding], missing: Sequence[Missing]) -> tuple[Finding, ...]:
    return by_severity([*findings, *missing_findings(missing)])


def study_result(problem: Problem, finished: Finished, measured: Measured, blob: Blob) -> Result:
    """Return what a study has to say, without its files."""
    chosen, spec = finished.chosen, problem.spec
    trials = trial_records(finished.session)
    quantized = quantized_of(problem, finished)
    lower = frozenset(goal.id for goal in _goals(finished) if goal.metric.direction == "lower")
    return Result(
        outcome=_outcome(problem, chosen, quantized, is_proven=finished.results.is_proven),
        stopped=measured.stopped,
        target=problem.target.name,
        toolchain=None if problem.target.toolchain is None else str(problem.target.toolchain),
        strategy=spec.search.strategy,
        seed=spec.search.seed,
        verified=_verified(problem),
        metrics=goal_records(problem, finished),
        cost=_cost(finished),
        timing=timing_of(finished),
        quantized=quantized,
        chosen_trial=None if chosen is None else chosen.number,
        assignment=_assignment(finished, blob),
        outputs=_outputs(finished),
        calibration=calibration_result(problem, finished),
        search=EffortRecord(
            evaluations=sum(trial.evaluated for trial in _trials(finished)),
            full_set_equivalents=_equivalents(finished),
            seconds=round(measured.seconds, 3),
            float_evaluation_seconds=_float_seconds(finished),
        ),
        minimal=None if quantized is not None and quantized.is_nothing else _minimal(finished, measured),
        trials=trials,
        front=tuple(
            FrontPoint(trial=trial.no, cost=trial.cost, values=dict(trial.seen)) for trial in front(trials, lower)
        ),
        findings=findings_of(problem, finished),
        provenance=provenance_of(problem, finished.results, measured.made, seconds=measured.seconds),
    )


def _trials(finished: Finished) -> Sequence[Trial]:
    return finished.session.trials if finished.session is not None else ()


def _goals(finished: Finished) -> tuple[GoalState, ...]:
    return finished.session.setting.goals if finished.session is not None else ()


def _verified(problem: Problem) -> str:
    """By what the verdict was reached: integer arithmetic, Q/DQ emulation, or the runtime it will be deployed on."""
    if problem.evaluator == "integer":
        return "simulator"
    return "runtime" if problem.is_deployed_here else "fake_quant"


def _minimal(finished: Finished, measured: Measured) -> bool | None:
    """Whether no group can go lower alone; null when not met, stopped, or the strategy makes no such claim."""
    if (
        finished.session is None
        or finished.chosen is None
        or not finished.chosen.is_met
        or finished.passed_over is not None
        or measured.stopped is not None
    ):
        return None
    timing = timing_of(finished)
    if timing is not None and timing.changed_the_answer:
        return None  # what is said of cost is said of another trial
    return finished.session.minimal


def _outcome(problem: Problem, chosen: Trial | None, quantized: QuantizedRecord | None, *, is_proven: bool) -> Outcome:
    if problem.evaluation is None:
        return Outcome.NOT_EVALUATED
    if quantized is not None and quantized.is_nothing:
        return Outcome.NOT_MET  # the float model meets every goal: that is no answer to what was asked
    return Outcome.MET if chosen is not None and chosen.is_met and is_proven else Outcome.NOT_MET


def _cost(finished: Finished) -> CostRecord:
    if finished.session is None:
        return CostRecord(all_low=1.0)
    setting, chosen = finished.session.setting, finished.chosen
    low, high = setting.bounds
    assignment = low if chosen is None else chosen.configuration.effective
    reported = None if chosen is None and setting.n_samples else setting.cost.index(assignment)
    bar = None if reported is None else setting.cost.error_bar(reported)
    return CostRecord(
        unit=setting.cost.unit,
        chosen=None if reported is None else setting.cost.in_unit(reported),
        all_low=setting.cost.in_unit(setting.cost.index(low)),
        all_high=setting.cost.in_unit(setting.cost.index(high)),
        source="assumed" if setting.cost.unit == "index" else "measured",
        assumed_share=setting.cost.assumed_share(assignment),
        interval=None if bar is None else (bar[0], bar[1]),
    )


def _assignment(finished: Finished, blob: Blob) -> dict[str, NodeRecord]:
    export = finished.results.export
    nodes = {} if export is None else json.loads(blob(export.blobs[NODES]))
    return {name: read(NodeRecord, node) for name, node in nodes.items()}


def _outputs(finished: Finished) -> dict[str, OutputRecord]:
    export = finished.results.export
    outputs = {} if export is None else export.value.outputs
    return {
        name: OutputRecord(dtype=form.dtype, scale=form.scale, zero_point=form.zero_point)
        for name, form in outputs.items()
    }


def _equivalents(finished: Finished) -> float:
    if finished.session is None or not finished.session.setting.n_samples:
        return 0.0
    both = finished.session.setting.evaluator == "integer"
    run = sum(
        trial.n_run + trial.n_again + (trial.exported.n_run if both and trial.exported is not None else 0)
        for trial in _trials(finished)
        if trial.evaluated
    )
    return round(run / finished.session.setting.n_samples, 4)


def _float_seconds(finished: Finished) -> float | None:
    float_model = finished.results.float_model
    return None if float_model is None else round(float_model.seconds, 3)


def _exported(finished: Finished, blob: Blob) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    model = finished.results.blob_of_model
    if model is not None:
        files["model.qdq.onnx"] = blob(model)
    beside = None if finished.finalists is None else finished.finalists.blob_beside(finished.chosen)
    if beside is not None:
        files[DYNAMIC_FILE] = blob(beside)
    export = finished.results.export
    for name, digest in sorted(export.blobs.items()) if export is not None else ():
        if name.startswith(FILE):
            files[name.removeprefix(FILE)] = blob(digest)
    if not finished.results.is_proven:
        files.pop("model.qdq.onnx", None)
    return files


def large_files(finished: Finished) -> dict[str, str]:
    """Files to be taken from the blob store one by one: relative path to blob digest."""
    return {
        name.removeprefix(FILE): digest
        for answer in finished.results.layers
        for name, digest in sorted(answer.blobs.items())
    }


_NAMES = {"layers.json": "layers_json", "model.qdq.onnx": "qdq", "report.html": "report"}


def _artifacts(paths: Sequence[str]) -> dict[str, str]:
    """Short name to relative path of every delivered file."""
    return {_NAMES.get(path, path.rsplit(".", 1)[0].replace("/", "_")): path for path in sorted(paths)}


def _operators(result: Result, finished: Finished) -> list[OperatorRow]:
    """The operators of the report's table, with their share of the compute."""
    shares = () if finished.results.export is None else finished.results.export.value.shares
    return [
        OperatorRow(
            name=name,
            op_type=_op_type(finished, node.group),
            group=node.group,
            requested=node.requested or "",
            effective=node.precision or "",
            reason=node.why,
            share=shares[int(node.group[1:])] if node.role in ("compute", "float") else 0.0,
        )
        for name, node in result.assignment.items()
        if node.group is not None
    ]


def _op_type(finished: Finished, group: str) -> str:
    return "" if finished.session is None else finished.session.setting.network.groups[int(group[1:])].op_type
