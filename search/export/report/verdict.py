"""The banner of the report: the verdict in one sentence, and the facts under it.

Every sentence is computed from ``result.json``; nothing here is measured or decided again.
"""

from __future__ import annotations

from dataclasses import dataclass

from search.export.report import text
from search.records.goal import Certainty, GoalRecord
from search.records.result import CostRecord, Result
from search.records.timing import TimingRecord
from search.records.verdict import Outcome, Tone

_STOPPED = {
    "time": "the time limit",
    "evaluations": "the limit on evaluations",
    "interrupt": "an interrupt",
    "cancel": "a cancellation",
}
_VERIFIED = {
    "simulator": "the integer simulator",
    "fake_quant": "the fake-quantized graph on ONNX Runtime",
    "runtime": "ONNX Runtime as deployed",
}


_SURE = {
    Certainty.MET: "so it is met for sure",
    Certainty.BOUND_MISSES: "so other samples of this size may miss it",
    Certainty.BOUND_REACHES: "so other samples of this size may meet it",
    Certainty.NOT_MET: "so it is missed for sure",
}


@dataclass(frozen=True, kw_only=True)
class Banner:
    """The verdict of a study: ``tone`` chooses its colour."""

    tone: Tone
    symbol: str
    headline: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One labelled figure of the banner."""

    label: str
    value: str
    note: str = ""
    tag: str = ""


def verdict(result: Result) -> Banner:
    """Return the banner of ``result``."""
    outcome = result.outcome
    cut = f" The search was ended early by {_STOPPED[result.stopped]}." if result.stopped else ""
    sentence = {Outcome.MET: _met_sentence, Outcome.NOT_MET: _missed_sentence}.get(outcome, _open_sentence)(result)
    if result.quantized is not None and result.quantized.told:
        return _with_float(result, sentence + cut)
    unsure = [goal for goal in result.metrics if goal.certainty is Certainty.BOUND_MISSES]
    if outcome is Outcome.MET and unsure:
        headline = "Goal met, but the bound misses"
        return Banner(tone="fair", symbol=outcome.sign, headline=headline, sentence=sentence + cut)
    headline = outcome.label.capitalize()
    return Banner(tone=outcome.tone, symbol=outcome.sign, headline=headline, sentence=sentence + cut)


def _with_float(result: Result, sentence: str) -> Banner:
    """The banner of a result most of which runs in float: that is its headline."""
    outcome, quantized = result.outcome, result.quantized
    told = "" if quantized is None else quantized.told
    headline = f"{outcome.label.capitalize()}{', but ' if outcome is Outcome.MET else ': '}{told}"
    if quantized is not None and quantized.is_nothing:
        sentence = (
            "No operator that computes has an integer form on this target, so whatever was measured is the float "
            "model. --allow-float accepts that."
        )
    tone: Tone = "fair" if outcome is Outcome.MET else outcome.tone
    return Banner(tone=tone, symbol=outcome.sign, headline=headline, sentence=sentence)


def _open_sentence(result: Result) -> str:
    del result
    return "No evaluation data was given, so no accuracy is known. The all-low assignment was delivered as it is."


def _met_sentence(result: Result) -> str:
    told = [
        f"{text.clean(goal.id)} is {text.figure(goal.chosen)}, {'at most' if goal.is_lower_better else 'at least'} "
        f"{text.figure(goal.required)} was required"
        for goal in result.metrics[:2]
    ]
    more = len(result.metrics) - len(told)
    sentence = "; ".join(told) + (f"; {text.plural(more, 'further goal')} met" if more > 0 else "") + "."
    sentence += "".join(f" {sure}" for goal in result.metrics[:2] if (sure := how_sure(goal)))
    if result.minimal:
        sentence += " No single group can go lower without missing the goal."
    return sentence


def how_sure(goal: GoalRecord) -> str:
    """Return what the 95 % interval says about the verdict of a goal, in a sentence; empty if there is none."""
    if goal.certainty is None:
        return ""
    paired = goal.difference is not None and goal.difference.interval is not None and goal.float_value is not None
    if paired and goal.difference is not None and goal.float_value is not None and goal.required is not None:
        bounds = text.interval(goal.difference.interval, signed=True)
        limit = text.difference(goal.required - goal.float_value)
        measured = f"{text.difference(goal.difference.value)} to float (95 %: {bounds}; limit {limit})"
    else:
        measured = f"95 %: {text.interval(goal.interval)}"
    return f"{text.clean(goal.id)}: {measured}, {_SURE[goal.certainty]}."


def _missed_sentence(result: Result) -> str:
    if all(goal.chosen is None for goal in result.metrics):
        return "No trial was completed, so there is no assignment to deliver."
    missed = [goal for goal in result.metrics if (goal.missing or 0) > 0]
    parts = [f"{text.clean(goal.id)} falls short by {text.gap(goal.missing or 0.0)}" for goal in missed[:3]]
    told = "The best assignment found is delivered: " + ("; ".join(parts) or "the exported model misses the goal") + "."
    return told + "".join(f" {sure}" for goal in missed[:2] if (sure := how_sure(goal)))


def facts(result: Result) -> tuple[Fact, ...]:
    """Return the figures under the verdict: target, cost, search effort, samples."""
    effort = result.search
    samples = max((goal.n_samples or 0 for goal in result.metrics), default=0)
    return (
        Fact(
            label="Target",
            value=text.clean(result.target),
            note=f"toolchain {text.clean(result.toolchain)}" if result.toolchain else "",
        ),
        _cost_fact(result.cost),
        *_time_facts(result.timing),
        Fact(
            label="Evaluations",
            value=text.count(effort.evaluations),
            note=""
            if effort.full_set_equivalents is None
            else f"work of {effort.full_set_equivalents:.1f} full evaluations",
        ),
        Fact(
            label="Samples",
            value=text.count(samples) if samples else text.MISSING,
            note=f"verified by {_VERIFIED.get(str(result.verified), 'nothing')}" if samples else "none evaluated",
        ),
        Fact(
            label="Search time",
            value=text.seconds(effort.seconds),
            note=f"strategy {text.words(result.strategy)}, seed {text.count(result.seed)}",
        ),
    )


def _cost_fact(cost: CostRecord) -> Fact:
    notes = []
    if cost.chosen is not None and cost.all_low:
        notes.append(_against(cost.chosen / cost.all_low - 1, "all-low"))
    if cost.chosen is not None and cost.all_high:
        notes.append(_against(cost.chosen / cost.all_high - 1, "all-high"))
    if cost.interval:
        low, high = cost.interval
        notes.append(f"nine in ten within {text.cost(low, cost.unit)} to {text.cost(high, cost.unit)}")
    if cost.assumed_share:
        notes.append(f"{text.percent(cost.assumed_share)} of it from assumed coefficients")
    return Fact(
        label="Cost index" if cost.unit == "index" else "Latency",
        value=text.cost(cost.chosen, cost.unit),
        note=", ".join(notes),
        tag="fitted to measurements" if cost.source == "measured" else "estimate",
    )


def _time_facts(timing: TimingRecord | None) -> tuple[Fact, ...]:
    """Measured time of what is delivered beside float, where it was timed."""
    if timing is None or timing.chosen is None:
        return ()
    plain = timing.models[0].milliseconds
    threads = "1 thread" if timing.threads == 1 else f"{timing.threads} threads"
    note = f"{_against(timing.chosen / plain - 1, 'float')}, batch {timing.batch}, {threads}"
    return (
        Fact(
            label="Time per sample",
            value=f"{timing.chosen:.4g} ms",
            note=f"{note}, noise {text.percent(timing.noise)}",
            tag="measured",
        ),
    )


def _against(change: float, bound: str) -> str:
    if abs(change) < 0.0005:
        return f"equal to {bound}"
    return f"{text.percent(abs(change))} {'above' if change > 0 else 'below'} {bound}"
