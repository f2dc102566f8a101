"""The files below ``knight/``: run configuration, infer functions, script, explanation, and the mix configuration."""

from __future__ import annotations

import json
import pprint
from importlib import resources
from typing import Any

from search import export
from search.errors import UsageError
from search.export.knight_config import run_config
from search.export.knight_mix import mix_config, mix_problems
from search.export.knight_plan import KnightPlan
from search.export.knight_script import readme, run_script
from search.export.solution import Solution

FLOAT_MODEL = "ort_float.onnx"
_MARK = "# SETTINGS\n"


def knight_files(solution: Solution) -> dict[str, bytes]:
    """Return the files by path.

    Raises:
        UsageError: If the solution is not for a Knight chip, or the tool would refuse a value.
    """
    plan = solution.knight
    if plan is None:
        raise UsageError(f"Target {solution.target!r} names no chip of the Knight tools, so there is nothing to write.")
    problems = mix_problems(solution) if plan.takes_mix else []
    has_mix = plan.takes_mix and not problems
    files = {
        "knight/run_config.json": _json(run_config(solution, plan, has_mix=has_mix)),
        "knight/run.sh": run_script(solution, plan).encode(),
        "knight/README.md": readme(solution, plan, mix_problems=problems).encode(),
    }
    if plan.calibration_file is not None:
        files["knight/infer.py"] = infer_script(solution, plan).encode()
    if plan.metric is not None and plan.metric.graph is not None:
        files["knight/metric.onnx"] = plan.metric.graph
    if has_mix:
        files["knight/mix_config.json"] = _json(mix_config(solution))
    return files


def infer_script(solution: Solution, plan: KnightPlan) -> str:
    """Return ``infer.py``: the fixed text with the settings of the search written into it."""
    text = resources.files(export).joinpath("templates", "knight_infer.py.txt").read_text("utf-8")
    settings = "".join(
        f"{name} = {pprint.pformat(value, width=116, compact=True)}\n" for name, value in _settings(solution, plan)
    )
    return text.replace(_MARK, settings, 1)


def _settings(solution: Solution, plan: KnightPlan) -> tuple[tuple[str, Any], ...]:
    metric = plan.metric
    described = None
    if metric is not None:
        described = {
            "name": metric.name,
            "output": metric.output,
            "labels": metric.labels,
            "percentile": metric.percentile if metric.percentile is not None else 100.0,
            "is_fidelity": metric.is_fidelity,
            "float_model": FLOAT_MODEL,
        }
    return (
        ("INPUTS", [entry.name for entry in solution.inputs]),
        ("AXES", dict(plan.ranks)),
        ("OUTPUTS", list(solution.network.outputs)),
        ("METRIC", described),
        ("PREPROCESS", None if plan.preprocess is None else dict(plan.preprocess)),
        ("CALIBRATION", plan.calibration_file),
        ("EVALUATION", plan.evaluation_file),
        ("SEED", plan.seed),
        ("ORDER", list(plan.order)),
        ("N_CALIBRATION", plan.n_calibration),
        ("EVALUATION_ROWS", None if plan.evaluation_rows is None else list(plan.evaluation_rows)),
    )


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
