"""What a person reads at the end of a local run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

VERDICTS = {"met": "goal met", "not_met": "goal NOT met", "not_evaluated": "not evaluated (no data)"}
MAX_FINDINGS = 6


def print_summary(result: Mapping[str, Any], out: Path) -> None:
    """Print verdict, metrics, precisions and where the report lies."""
    console = Console(highlight=False)
    cost = result["cost"]
    stopped = f", stopped by {result['stopped']}" if result["stopped"] else ""
    console.print(f"\n{VERDICTS[result['outcome']]} on {result['target']}{stopped}", style="bold")
    if result["metrics"]:
        console.print(_metrics(result))
    if cost["chosen"] is not None:
        console.print(_cost(cost), soft_wrap=True)
    counts = Counter(
        entry["precision"]
        for entry in result["assignment"].values()
        if entry["role"] == "compute" and entry["precision"]
    )
    if counts:
        console.print("groups: " + ", ".join(f"{n} x {precision}" for precision, n in counts.most_common()))
    search = result["search"]
    runs = f"{search['evaluations']} evaluations ({search['full_set_equivalents']:.1f} full sets)"
    console.print(f"{runs} in {search['seconds']:.1f} s")
    for finding in [one for one in result["findings"] if one["severity"] != "note"][:MAX_FINDINGS]:
        console.print(f"{finding['severity']}: {finding['message']}", markup=False, soft_wrap=True)
    console.print(f"report: {out / result['artifacts'].get('report', 'report.html')}", markup=False, soft_wrap=True)


def _cost(cost: Mapping[str, Any]) -> str:
    """Chosen cost beside both bounds, and how far to trust it."""
    assumed = f"{cost['assumed_share']:.0%} of it from assumed coefficients"
    if cost["unit"] == "index":
        high = "" if cost["all_high"] is None else f", all high {cost['all_high']:.3f}"
        return f"cost index {cost['chosen']:.3f} (all low {cost['all_low']:.3f}{high}); an estimate, {assumed}"
    high = "" if cost["all_high"] is None else f", all high {cost['all_high']:.0f}"
    bar = "{:.0f} to {:.0f}".format(*cost["interval"])
    bounds = f"all low {cost['all_low']:.0f}{high}"
    return f"latency {cost['chosen']:.0f} us, nine in ten within {bar} ({bounds}); fitted to measurements, {assumed}"


def _metrics(result: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("metric", "float", "required", "chosen", "95 % interval", "samples"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for metric in result["metrics"]:
        interval = metric["interval"]
        table.add_row(
            metric["id"],
            _number(metric["float"]),
            _number(metric["required"]),
            _number(metric["chosen"]),
            "-" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}",
            str(metric["n_samples"]),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
