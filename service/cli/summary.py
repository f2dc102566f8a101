"""What a person reads at the end of a local run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from search.export.report.verdict import how_sure, verdict
from search.records.result import CostRecord, Result
from search.records.timing import TimingRecord

MAX_FINDINGS = 6


def print_summary(result: Result, out: Path) -> None:
    """Print verdict, goals, precisions and where the report lies."""
    console = Console(highlight=False)
    banner = verdict(result)
    stopped = f", stopped by {result.stopped}" if result.stopped else ""
    console.print(
        f"\n{banner.symbol} {banner.headline} on {result.target}{stopped}", style=f"bold {_COLOURS[banner.tone]}"
    )
    if result.metrics:
        console.print(_metrics(result))
    for told in filter(None, map(how_sure, result.metrics)):
        console.print(told, markup=False, soft_wrap=True)
    if result.cost.chosen is not None:
        console.print(_cost(result.cost), soft_wrap=True)
    if result.timing is not None:
        console.print(_timing(result.timing), soft_wrap=True)
    nodes = result.assignment.values()
    counts = Counter(node.precision for node in nodes if node.role == "compute" and node.precision)
    if counts:
        console.print("groups: " + ", ".join(f"{n} x {precision}" for precision, n in counts.most_common()))
    effort = result.search
    runs = f"{effort.evaluations} evaluations ({effort.full_set_equivalents or 0.0:.1f} full sets)"
    console.print(f"{runs} in {effort.seconds or 0.0:.1f} s")
    for finding in [one for one in result.findings if one.severity != "note"][:MAX_FINDINGS]:
        console.print(f"{finding.severity}: {finding.message}", markup=False, soft_wrap=True)
    console.print(f"report: {out / result.artifacts.get('report', 'report.html')}", markup=False, soft_wrap=True)


def _timing(timing: TimingRecord) -> str:
    """Measured time of what is delivered beside float."""
    chosen = "not timed" if timing.chosen is None else f"{timing.chosen:.4g} ms"
    threads = "1 thread" if timing.threads == 1 else f"{timing.threads} threads"
    plain = timing.models[0].milliseconds
    return (
        f"measured here: {chosen} per sample, float {plain:.4g} ms (batch {timing.batch}, {threads}, "
        f"noise {timing.noise:.1%})"
    )


_COLOURS = {"good": "green", "fair": "yellow", "bad": "red", "open": "default"}


def _cost(cost: CostRecord) -> str:
    """Chosen cost beside both bounds, and how far to trust it."""
    assumed = f"{cost.assumed_share or 0.0:.0%} of it from assumed coefficients"
    if cost.unit == "index" or cost.interval is None:
        high = "" if cost.all_high is None else f", all high {cost.all_high:.3f}"
        return f"cost index {cost.chosen:.3f} (all low {cost.all_low:.3f}{high}); an estimate, {assumed}"
    high = "" if cost.all_high is None else f", all high {cost.all_high:.0f}"
    bar = "{:.0f} to {:.0f}".format(*cost.interval)
    bounds = f"all low {cost.all_low:.0f}{high}"
    return f"latency {cost.chosen:.0f} us, nine in ten within {bar} ({bounds}); fitted to measurements, {assumed}"


def _metrics(result: Result) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("metric", "float", "required", "chosen", "95 % interval", "samples"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for goal in result.metrics:
        table.add_row(
            goal.id,
            _number(goal.float_value),
            _number(goal.required),
            _number(goal.chosen),
            "-" if goal.interval is None else f"{goal.interval[0]:.4f} to {goal.interval[1]:.4f}",
            str(goal.n_samples),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
