"""``knight/run_config.json``: what ``Knight build --run-config`` does with the model, as the search found it best.

Paths are relative to the output folder: run the tool there. The tool is handed the Q/DQ model, whose scales it takes as
they are; its own calibration of the float model comes second. Tools built on ONNX 1.14 read up to opset 19, so a Q/DQ
model that needs more is left aside, and the tool calibrates with the chosen method, samples and order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import onnx

from search.deployment.deployment import Deployment
from search.deployment.float_model import FLOAT_MODEL
from search.deployment.knight_plan import KnightPlan
from search.errors import UsageError
from search.export.knight_mix import BIT_WIDTHS, MODES
from search.graph.limits import opset_of
from search.quant.observers.percentile import DEFAULT_SHARE

SCRIPT = "./knight/infer.py"
SAVE_DIR = "./knight/out"
QDQ_FILE = "knight/model.qdq.onnx"
QDQ_PATH = f"./{QDQ_FILE}"
FLOAT_PATH = f"./{FLOAT_MODEL}"
HIGHEST_OPSET = 19
"""Of ONNX 1.14, which the tools are built on."""
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


def run_config(deployment: Deployment, plan: KnightPlan, *, has_mix: bool) -> dict[str, Any]:
    """Return the document as plain values.

    Args:
        deployment: What is exported.
        plan: What the tool is told.
        has_mix: Whether ``mix_config.json`` is there.

    Raises:
        UsageError: If a value is not one the tool accepts; names which.
    """
    model = handed_over(deployment, plan)
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


def handed_over(deployment: Deployment, plan: KnightPlan) -> str:
    """Path of the model the tool reads: with our scales, unless it could not read that one and knows the method."""
    return QDQ_PATH if plan.method not in MODES or is_readable(deployment) else FLOAT_PATH


def is_readable(deployment: Deployment) -> bool:
    """Whether the Q/DQ model is at an opset that the tool reads."""
    return opset_of(onnx.load_from_string(deployment.quantized)) <= HIGHEST_OPSET


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
