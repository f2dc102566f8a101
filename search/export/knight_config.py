"""``knight/run_config.json``: what ``Knight build --run-config`` does with the model, as the search found it best.

Paths are relative to the output folder: run the tool there. The float model is quantized by the tool itself with the
chosen method, samples and order. ``mix`` (per tensor the best of all methods) is ours alone: then the Q/DQ model is
handed over, whose scales the tool takes as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from search.errors import UsageError
from search.export.knight_mix import BIT_WIDTHS, MODES
from search.export.knight_plan import KnightPlan
from search.export.solution import Solution
from search.quant.observers.percentile import DEFAULT_SHARE

SCRIPT = "./knight/infer.py"
SAVE_DIR = "./knight/out"
QDQ_MODEL = "./model.qdq.onnx"
RANDOM_INFER = "infer_auto"  # the tool's own function for random numbers

QUANT_KEYS: Mapping[str, tuple[type, ...]] = {
    "model": (str,), "weight": (str,), "framework": (str,), "input-shapes": (str, list), "infer-func": (str,),
    "bit-width": (int,), "quant-mode": (str,), "percent": (float,), "batch-size": (int,), "iteration": (int,),
    "run-mode": (str,), "save-dir": (str,), "user-defined-script": (str,), "data": (str,), "output-name": (str,),
    "mix-config": (str,),
}  # fmt: skip
SECTIONS: Mapping[str, frozenset[str]] = {
    "compile": frozenset({"onnx", "save-dir"}),
    "run": frozenset({"input", "format", "model", "save-dir"}),
    "profiling": frozenset({"model", "save-dir"}),
}


def run_config(solution: Solution, plan: KnightPlan, *, has_mix: bool) -> dict[str, Any]:
    """Return the document as plain values.

    Args:
        solution: What is exported.
        plan: What the tool is told.
        has_mix: Whether ``mix_config.json`` is there.

    Raises:
        UsageError: If a value is not one the tool accepts; names which.
    """
    model = handed_over(solution, plan)
    quant: dict[str, Any] = {
        "model": model,
        "framework": "onnx",
        "infer-func": infer_function(plan),
        **({} if plan.calibration_file is None else {"user-defined-script": SCRIPT, "data": plan.calibration_file}),
        "bit-width": min(BIT_WIDTHS),
        "quant-mode": tool_method(plan),
        **({"percent": DEFAULT_SHARE} if plan.method == "percentile" else {}),
        "batch-size": plan.batch,
        "iteration": plan.iterations,
        "run-mode": "quant",
        "save-dir": SAVE_DIR,
        **({"mix-config": "./knight/mix_config.json"} if has_mix else {}),
    }
    quantized = f"{SAVE_DIR}/{stem(model)}_quantize.onnx"
    document = {"chip": plan.chip, "quant": quant, "compile": {"onnx": quantized, "save-dir": SAVE_DIR}}
    problems = run_config_problems(document)
    if problems:
        raise UsageError(f"knight/run_config.json cannot be written: {'; '.join(problems)}.")
    return document


def handed_over(solution: Solution, plan: KnightPlan) -> str:
    """Path of the model the tool reads."""
    return QDQ_MODEL if plan.method not in MODES else f"./{solution.model_file}"


def tool_method(plan: KnightPlan) -> str:
    """The tool's name of the method; of ours alone its simplest, which does not matter where scales are given."""
    return plan.method if plan.method in MODES else "min_max"


def infer_function(plan: KnightPlan) -> str:
    """Name of the registered function that feeds calibration samples."""
    return RANDOM_INFER if plan.calibration_file is None else "bitbudget_calibrate"


def stem(path: str) -> str:
    """File name without its last suffix, as the tool names what it makes of it."""
    return PurePosixPath(path).stem


def run_config_problems(document: Any) -> list[str]:
    """Return what is wrong with a parsed ``run_config.json``; an empty list means it is well formed."""
    if not isinstance(document, dict):
        return ["the file must be a mapping"]
    problems = [f"unknown section {name!r}" for name in document if name not in {"chip", "quant", *SECTIONS}]
    if not isinstance(document.get("chip"), str) or not document.get("chip"):
        problems.append("chip is missing")
    for name, keys in SECTIONS.items():
        problems += [f"{name}.{key}: unknown key" for key in document.get(name, {}) if key not in keys]
    quant = document.get("quant")
    return [*problems, *(_quant_problems(quant) if isinstance(quant, dict) else ["quant is missing"])]


def _quant_problems(quant: Mapping[str, Any]) -> list[str]:
    problems = [f"quant.{key}: unknown key" for key in quant if key not in QUANT_KEYS]
    problems += [
        f"quant.{key}: {value!r} is of the wrong type"
        for key, value in quant.items()
        if key in QUANT_KEYS and (not isinstance(value, QUANT_KEYS[key]) or isinstance(value, bool))
    ]
    problems += [f"quant.{key} is missing" for key in ("model", "framework", "infer-func") if not quant.get(key)]
    for key, allowed in (("bit-width", BIT_WIDTHS), ("quant-mode", (*MODES, "all")), ("framework", ("onnx",))):
        if key in quant and quant[key] not in allowed:
            listed = ", ".join(map(str, allowed))
            problems.append(f"quant.{key}: {quant[key]!r} is none of {listed}")
    problems += [
        f"quant.{key} must be at least 1" for key in ("batch-size", "iteration") if _is_below_one(quant.get(key, 1))
    ]
    return problems


def _is_below_one(value: Any) -> bool:
    return isinstance(value, int) and value < 1
