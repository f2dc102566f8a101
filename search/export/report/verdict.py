"""The banner of the report: the verdict in one sentence, and the facts under it.

Every sentence is computed from ``result.json``; nothing here is measured or decided again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.export.report import text
from search.export.report.metrics import shortfall

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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The banner: ``tone`` is ``good | bad | open`` and chooses colour and symbol."""

    tone: str
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


def verdict(result: Mapping[str, Any]) -> Verdict:
    """Return the banner of ``result``."""
    outcome, stopped = result.get("outcome"), result.get("stopped")
    cut = f" The search was ended early by {_STOPPED.get(stopped, text.clean(stopped))}." if stopped else ""
    if outcome == "met":
        return Verdict(tone="good", symbol="✓", headline="Goal met", sentence=_met_sentence(result) + cut)
    if outcome == "not_evaluated":
        told = "No evaluation data was given, so no accuracy is known. The all-low assignment was delivered as it is."
        return Verdict(tone="open", symbol="?", headline="Not evaluated", sentence=told + cut)
    return Verdict(tone="bad", symbol="✕", headline="Goal not met", sentence=_missed_sentence(result) + cut)


def _met_sentence(result: Mapping[str, Any]) -> str:
    parts = []
    for metric in (result.get("metrics") or ())[:2]:
        chosen, required = text.finite(metric.get("chosen")), text.finite(metric.get("required"))
        limit = "at most" if metric.get("direction") == "lower" else "at least"
        parts.append(
            f"{text.clean(metric.get('id'))} is {text.figure(chosen)}, {limit} {text.figure(required)} was required"
        )
    more = len(result.get("metrics") or ()) - len(parts)
    told = "; ".join(parts) + (f"; {text.plural(more, 'further goal')} met" if more > 0 else "") + "."
    if result.get("minimal"):
        told += " No single group can go lower without missing the goal."
    return told


def _missed_sentence(result: Mapping[str, Any]) -> str:
    metrics = result.get("metrics") or ()
    if all(metric.get("chosen") is None for metric in metrics):
        return "No trial was completed, so there is no assignment to deliver."
    missed = [metric for metric in metrics if (shortfall(metric) or 0) > 0]
    parts = [f"{text.clean(metric['id'])} falls short by {text.gap(shortfall(metric) or 0.0)}" for metric in missed[:3]]
    return "The best assignment found is delivered: " + ("; ".join(parts) or "the exported model misses the goal") + "."


def facts(result: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return the figures under the verdict: target, cost, search effort, samples."""
    toolchain = result.get("toolchain")
    search = result.get("search") or {}
    equivalents = text.finite(search.get("full_set_equivalents"))
    samples = {metric.get("n_samples") for metric in (result.get("metrics") or ())} - {None}
    return (
        Fact(
            label="Target",
            value=text.clean(result.get("target", "")),
            note=f"toolchain {text.clean(toolchain)}" if toolchain else "",
        ),
        _cost_fact(result.get("cost") or {}),
        Fact(
            label="Evaluations",
            value=text.count(search.get("evaluations")),
            note="" if equivalents is None else f"work of {equivalents:.1f} full evaluations",
        ),
        Fact(
            label="Samples",
            value=text.count(max(samples)) if samples else text.MISSING,
            note=f"verified by {_VERIFIED.get(str(result.get('verified')), 'nothing')}"
            if samples
            else "none evaluated",
        ),
        Fact(
            label="Search time",
            value=text.seconds(search.get("seconds")),
            note=f"strategy {text.words(result.get('strategy', ''))}, seed {text.count(result.get('seed'))}",
        ),
    )


def _cost_fact(cost: Mapping[str, Any]) -> Fact:
    unit = str(cost.get("unit", "index"))
    chosen, low, high = (text.finite(cost.get(key)) for key in ("chosen", "all_low", "all_high"))
    assumed = text.finite(cost.get("assumed_share"))
    notes = []
    if chosen is not None and low:
        notes.append(_against(chosen / low - 1, "all-low"))
    if chosen is not None and high:
        notes.append(_against(chosen / high - 1, "all-high"))
    bar = cost.get("interval")
    if bar:
        notes.append(f"nine in ten within {text.cost(bar[0], unit)} to {text.cost(bar[1], unit)}")
    if assumed:
        notes.append(f"{text.percent(assumed)} of it from assumed coefficients")
    fitted = cost.get("source") == "measured"
    return Fact(
        label="Cost index" if unit == "index" else "Latency",
        value=text.cost(chosen, unit),
        note=", ".join(notes),
        tag="fitted to measurements" if fitted else "estimate",
    )


def _against(change: float, bound: str) -> str:
    if abs(change) < 0.0005:
        return f"equal to {bound}"
    return f"{text.percent(abs(change))} {'above' if change > 0 else 'below'} {bound}"
