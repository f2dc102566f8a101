"""The end of a study: the exported file of the best trial is checked and confirmed, and the files are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from search.evaluation.configuration import Configuration, Treatment
from search.metrics.goal_check import meets
from search.records.missing import Missing
from search.strategies.shared.batch import side_by_side
from search.strategies.shared.goals import GoalState
from search.strategies.shared.recheck import Shards, joined, packed, recheck
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.study.described import Described
from search.study.items import chooses_samples, knight_data, output_precision
from search.study.opening import attempted
from search.study.results import Results
from search.targets.legalise import uniform
from search.tasks import Item, Plan
from search.work.delivery import Delivery
from search.work.kinds.confirm import Confirm
from search.work.kinds.export import Export, Written
from search.work.kinds.layers import Dumped, DumpLayers
from search.work.kinds.profile import Profile, Profiled
from search.work.kinds.unoptimized import RunUnoptimized, Unoptimized
from search.work.problem import Problem

LAYER_SAMPLES = 8  # of --dump-layers: the first of the evaluation data, in its own order
PROFILE_SAMPLES = 32  # of layers.csv, and fewer where the tensors are large
PROFILE_VALUES = 2**26


def deliver(problem: Problem, described: Described, session: TrialSession, chosen: Trial | None) -> Plan[Results]:
    """Check what is exported, and write the files.

    Args:
        problem: The study.
        described: The model.
        session: The search.
        chosen: The trial that is delivered; None if none is complete.
    """
    found, last = Results(), list[Plan[Results]]()
    if chosen is not None:
        exported = yield from session.evaluate_exported(chosen)
        ranges = exported.ranges if chosen.checked is None else chosen.checked
        proof = yield from recheck(session.setting, chosen.configuration, ranges)
        found = Results(missing=(proof,)) if isinstance(proof, Missing) else Results(recheck=proof)
        model = found.blob_of_model
        if model is not None and (problem.confirmation is not None or problem.spec.data.confirmation_share):
            last.append(_confirm(problem, session, model))
        if model is not None:
            shards = packed(ranges, session.setting.macs, session.setting.task_macs)
            last.append(_without_optimizations(session, model, shards))
    if chosen is not None or session.setting.n_samples == 0:
        last.append(_export(problem, session, chosen, found.blob_of_model))
        last.append(_profile(problem, described, session, chosen))
    found = reduce(or_, (yield from side_by_side(last)), found)
    if problem.dumps_layers and found.export is not None:
        found |= yield from _dump_layers(problem, described, session, chosen)
    return found


def _confirm(problem: Problem, session: TrialSession, model: str) -> Plan[Results]:
    work = Confirm(evaluation=session.setting.evaluation, model=model, confirmation=problem.confirmation)
    answer = yield from attempted(Item(work, problem.context))
    return Results(missing=(answer,)) if isinstance(answer, Missing) else Results(confirm=answer)


def _without_optimizations(session: TrialSession, model: str, shards: Shards) -> Plan[Results]:
    """The same samples without optimizations; one item for all if they are few."""
    setting = session.setting
    ends = [(shard[0][0], shard[-1][1]) for shard in shards]
    ends[-1] = (ends[-1][0], setting.n_samples)
    items = [
        Item(
            RunUnoptimized(evaluation=setting.evaluation, model=model, range=end),
            setting.context,
            macs=setting.macs * (end[1] - end[0]),
        )
        for end in ends
    ]
    answers = yield tuple(items)
    found = []
    for item in items:
        answer = answers.attempted(item)
        if isinstance(answer, Missing):
            return Results(missing=(answer,))
        found.append(answer)
    value = Unoptimized(joined([answer.value.parts for answer in found]))
    return Results(unoptimized=replace(found[0], value=value, seconds=sum(answer.seconds for answer in found)))


def _export(problem: Problem, session: TrialSession, chosen: Trial | None, model: str | None) -> Plan[Results]:
    answer = yield from attempted(_export_item(problem, session, chosen, model))
    return Results(missing=(answer,)) if isinstance(answer, Missing) else Results(export=answer)


def _export_item(problem: Problem, session: TrialSession, chosen: Trial | None, model: str | None) -> Item[Written]:
    setting = session.setting
    configuration, reasons = delivered(session, chosen)
    uses = setting.evaluation.uses
    work = Export(
        reference=setting.evaluation.reference,
        target=problem.target.digest,
        output_precision=output_precision(problem),
        delivery=Delivery(
            configuration=configuration,
            requested=uniform(setting.network, setting.target, "low") if chosen is None else chosen.requested,
            reasons=reasons,
            ratio=achieved_ratio(session, chosen),
            exports_calibration=problem.exports_calibration,
            seeded=chooses_samples(problem),
            pins=problem.spec.pins,
            knight=knight_data(problem, uses, seeded=bool(setting.calibrations)),
        ),
        model=model,
    )
    return Item(work, problem.context)


def _profile(problem: Problem, described: Described, session: TrialSession, chosen: Trial | None) -> Plan[Results]:
    answer = yield from attempted(_profile_item(problem, described, session, chosen))
    return Results(missing=(answer,)) if isinstance(answer, Missing) else Results(profile=answer)


def _profile_item(
    problem: Problem, described: Described, session: TrialSession, chosen: Trial | None
) -> Item[Profiled]:
    """Float against quantized layer by layer, on few samples."""
    network, setting = described.network, session.setting
    fitting = PROFILE_VALUES // max(1, sum(tensor.elements for tensor in network.tensors))
    samples = min(PROFILE_SAMPLES, max(1, fitting), described.n_available)
    configuration = delivered(session, chosen)[0]
    work = Profile(
        reference=setting.evaluation.reference,
        numerics=setting.numerics(configuration, setting.evaluator),
        evaluator=setting.evaluator,
        configuration=configuration,
        calibration=problem.calibration if problem.evaluation is None else None,
        seed=problem.spec.search.seed,
        samples=samples,
    )
    return Item(work, problem.context, macs=3.0 * network.total_macs * samples)


def _dump_layers(problem: Problem, described: Described, session: TrialSession, chosen: Trial | None) -> Plan[Results]:
    samples = range(min(LAYER_SAMPLES, described.n_available))
    items = [_layer_item(problem, session, chosen, sample) for sample in samples]
    answers = yield tuple(items)
    found = [answers.attempted(item) for item in items]
    return Results(
        layers=tuple(answer for answer in found if not isinstance(answer, Missing)),
        missing=tuple(answer for answer in found if isinstance(answer, Missing)),
    )


def _layer_item(problem: Problem, session: TrialSession, chosen: Trial | None, sample: int) -> Item[Dumped]:
    """One sample whose intermediate results are delivered."""
    setting, configuration = session.setting, delivered(session, chosen)[0]
    work = DumpLayers(
        reference=setting.evaluation.reference,
        numerics=setting.numerics(configuration, setting.evaluator),
        evaluator=setting.evaluator,
        configuration=configuration,
        calibration=problem.calibration if problem.evaluation is None else None,
        sample=sample,
    )
    return Item(work, problem.context)


def delivered(session: TrialSession, chosen: Trial | None) -> tuple[Configuration, Mapping[int, str]]:
    """What is exported, with the reasons of the chip rules: the chosen trial, or all_low without evaluation."""
    if chosen is not None:
        return chosen.configuration, chosen.reasons
    setting = session.setting
    legal = setting.legaliser.legalise(uniform(setting.network, setting.target, "low"))
    return Configuration(legal.effective, setting.calibration, Treatment()), legal.reasons


def goals_above_float(goals: Sequence[GoalState]) -> tuple[GoalState, ...]:
    """Goals that the float model itself misses."""
    return tuple(
        goal
        for goal in goals
        if goal.float_part is not None and not meets(goal.float_value, goal.required, goal.metric.direction)
    )


def achieved_ratio(session: TrialSession, chosen: Trial | None) -> float | None:
    """Smallest ratio of chosen to float (inverted for errors) over goals that have a float value."""
    ratios = []
    for goal in session.setting.goals if chosen is not None else ():
        value = None if chosen is None else chosen.values[goal.id]
        if value and goal.float_value:
            higher = goal.metric.direction == "higher"
            ratios.append(value / goal.float_value if higher else goal.float_value / value)
    return min(ratios) if ratios else None
