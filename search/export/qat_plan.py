"""``qat_plan.md``: what to train, and how, where precision alone did not reach the goal.

The best assignment found is the start: its precisions stay, training moves weights (and scales) to what they leave.
Figures come from the study; the advice is that of the chip vendor's tuning guide (docs/guide-map.md), told as such.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from search import export
from search.export.qconfig_plan import FIXED_ACTIVATIONS_FROM
from search.export.report import text
from search.export.sensitivity_table import SensitivityLine
from search.records.result import NodeRecord, Result

DEBUG_FIRST = 0.90
"""Quantized / float: up to here the vendor looks for a mistake first."""
SHOWN = 12
_LISTED = 60
_LOWEST = frozenset({"a8w8", "int8"})


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A study that missed its goal.

    Attributes:
        result: What it has to say, without its artifacts.
        ratio: Smallest quantized / float over the goals that have a float value, None without one.
        sensitivity: Rows of all tables, those of the last base last.
        growth: Where the error starts to grow, in a sentence; empty if unknown.
        files: Paths of the delivered files.
    """

    result: Result
    ratio: float | None
    sensitivity: Sequence[SensitivityLine]
    growth: str
    files: Collection[str]


def qat_plan(missed: Missed) -> bytes:
    """Return the file; equal studies give equal bytes."""
    parts = [
        f"# Plan for quantization-aware training: {_code(missed.result.target)}\n",
        _standing(missed),
        "## 1. What stays as it is\n\n" + _kept(missed.result.assignment),
        "## 2. Where it hurts\n\n" + _hurts(missed),
        "## 3. Start from\n\n" + _start(missed),
        "## 4. Train\n\nThis is the advice of the chip vendor's tuning guide.\n\n" + _training(missed.ratio),
        "## 5. Come back\n\nExport the trained network to ONNX and search again: scales of its Q/DQ pairs are kept as "
        "fixed, and groups may go lower than here. Measure it on samples that neither training nor this search has "
        "seen (`data.confirmation`).\n",
    ]
    return "\n".join(parts).encode("utf-8", errors="backslashreplace")


def _training(ratio: float | None) -> str:
    better = "Fixed" if ratio is not None and ratio >= FIXED_ACTIVATIONS_FROM else "Learned"
    steps = resources.files(export).joinpath("templates", "qat_training.md").read_text("utf-8")
    return steps.format(scales=f"{better} is the better bet here.")


def _standing(missed: Missed) -> str:
    head = "| goal | float | required | reached | short by |\n|---|---|---|---|---|\n"
    rows = "".join(
        f"| {_code(goal.id)} | {text.figure(goal.float_value)} | {text.figure(goal.required)} "
        f"| {text.figure(goal.chosen)} | {text.figure(goal.shortfall) if goal.shortfall else 'met'} |\n"
        for goal in missed.result.metrics
    )
    return f"{head}{rows}\n{_judgement(missed)}\n"


def _judgement(missed: Missed) -> str:
    """What the distance to float says about training, by the vendor's bands."""
    if any(finding.code == "goal-above-float" for finding in missed.result.findings):
        return "The float model itself misses the goal: no training for quantization makes up for that. Train it first."
    if missed.ratio is None:
        return "The goals have no float value, so the vendor's bands for training say nothing here."
    told = f"The worst goal keeps {text.percent(missed.ratio)} of its float value."
    if missed.ratio <= DEBUG_FIRST:
        return (
            f"{told} At most 90 % is more than training is meant for: first look for a mistake (preprocessing, "
            "calibration data, ranges), then at section 2."
        )
    if missed.ratio < FIXED_ACTIVATIONS_FROM:
        return f"{told} Between 90 % and 95 % training is the next step, with learned scales."
    return f"{told} From 95 % training with fixed activation scales is the vendor's next step."


def _kept(assignment: Mapping[str, NodeRecord]) -> str:
    named = {name: entry for name, entry in assignment.items() if entry.role == "compute"}
    raised = [(name, entry) for name, entry in named.items() if entry.precision not in _LOWEST]
    low = len(named) - len(raised)
    if not raised:
        return f"All {text.plural(low, 'operator')} run at the lowest precision: training is for all of them.\n"
    told = f"{text.plural(low, 'operator')} at the lowest precision, {len(raised):,} higher. "
    told += "Do not lower any while training; the rest is what training is for.\n"
    rows = "".join(f"- {_code(name)}: {entry.precision}{_because(entry.why)}\n" for name, entry in raised[:_LISTED])
    left = len(raised) - _LISTED
    return f"{told}\n{rows}" + (f"- and {left:,} more, in `qconfig.csv`\n" if left > 0 else "")


def _because(why: str) -> str:
    return f" ({_plain(why)})" if why else ""


def _hurts(missed: Missed) -> str:
    worst = _worst(missed.sensitivity)
    told = f"{_plain(missed.growth)}\n\n" if missed.growth else ""
    if not worst:
        return f"{told}No sensitivity was measured.\n"
    rows = "".join(
        f"| {_code(line.output)} | {_code(line.op_name)} | {line.sensitive_type} | {line.dtype} "
        f"| {text.figure(line.value)} | {text.percent(line.flops_share)} |\n"
        for line in worst
    )
    head = "| output | operator | side | at | error alone | compute |\n|---|---|---|---|---|---|\n"
    advice = (
        "\nAn *activation* with a few large values: bound it in training (a bounded activation, a penalty on its "
        "range). A *weight*: more weight decay, or a penalty on the range per channel. Both sides of one operator: "
        "give it the highest precision the chip has and train the rest.\n"
    )
    return f"{told}{head}{rows}{advice}"


def _worst(lines: Sequence[SensitivityLine]) -> list[SensitivityLine]:
    """The worst rows of the last base, in turns over its outputs."""
    base = lines[-1].base if lines else None
    found = [line for line in lines if line.base == base and line.value]
    return sorted(found, key=lambda line: (line.rank, line.output))[:SHOWN]


def _start(missed: Missed) -> str:
    known = {
        "horizon/qconfig_setter.py": "setters of the new templates: calibration, training, training with fixed scales",
        "horizon/qconfig_setter_legacy.py": "the same for the older plugin",
        "horizon/quant_config.json": "the assignment for the ONNX route",
        "ort_overrides.json": "the assignment as tensor overrides of ONNX Runtime",
        "knight/run_config.json": "settings of the Knight tools",
        "qconfig.csv": "formats, scales and thresholds of every operator",
        "layers.csv": "float against quantized, layer by layer",
    }
    rows = _lines(f"- `{name}`: {purpose}" for name, purpose in known.items() if name in missed.files)
    told = "Files that set this assignment:\n\n" + rows
    if "horizon/qconfig_setter.py" not in missed.files:
        return told
    return (
        f"{told}\nPrepare the float model with the calibration setter, calibrate (10 to 100 steps, preprocessing of "
        "inference), compare the accuracy with the table above. Prepare the *float* model again with the training "
        "setter, load the calibrated state, train. Validate with the quantizers on.\n"
    )


def _lines(found: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in found)


def _code(name: Any) -> str:
    """A name that can end neither its code span nor its cell."""
    return f"`{text.clean(name).replace('`', chr(0x2BC)).replace('|', '¦')}`"


def _plain(sentence: str) -> str:
    """Text in which no name starts a link, an element or a cell."""
    cleaned = text.sentence(sentence)
    for mark in "\\`*_[]<>|":
        cleaned = cleaned.replace(mark, f"\\{mark}")
    return cleaned
