"""``knight/run.sh`` and ``knight/README.md``: the tool's commands with the settings of the search, and what they mean.

Data sets lie where the user has them: the script takes their paths from ``CALIBRATION``, ``EVALUATION`` and ``MODEL``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import onnx

from search.deployment.deployment import Deployment
from search.deployment.float_model import FLOAT_MODEL
from search.deployment.knight_plan import KnightPlan
from search.export.knight_config import (
    FLOAT_PATH,
    HIGHEST_OPSET,
    QDQ_PATH,
    RANDOM_INFER,
    SAVE_DIR,
    SCRIPT,
    handed_over,
    infer_function,
    is_readable,
    tool_method,
)
from search.export.knight_mix import MODES
from search.graph.limits import opset_of
from search.quant.observers.percentile import DEFAULT_SHARE

_HEAD = """#!/bin/sh
# Runs the Knight tools with the settings the search found best. Start it in the folder that holds knight/:
#   sh knight/run.sh            quantize and print the loss (knight/README.md says which model is read)
#   sh knight/run.sh qdq        the same from knight/model.qdq.onnx: the scales of the search as they are
#   sh knight/run.sh calibrate  the same from the float model: the tool's own calibration
#   sh knight/run.sh infer      the metric of the quantized model on the evaluation data
#   sh knight/run.sh layers     all intermediate results of the quantized model
#   sh knight/run.sh build      quantize and compile by knight/run_config.json
set -eu
"""


def run_script(deployment: Deployment, plan: KnightPlan) -> str:
    """Return the shell script."""
    lines = [
        f"MODEL=${{MODEL:-{_default(handed_over(deployment, plan))}}}",
        f"CALIBRATION=${{CALIBRATION:-{_default(plan.calibration_file or '')}}}",
        f"EVALUATION=${{EVALUATION:-{_default(plan.evaluation_file or '')}}}",
        f"OUT=${{OUT:-{SAVE_DIR}}}",
        'NAME=$(basename "$MODEL" .onnx)',
        "",
        'case "${1:-quant}" in',
        *_case("quant", _quant(plan, '"$MODEL"')),
        *_case("qdq", _quant(plan, QDQ_PATH)),
        *_case("calibrate", _quant(plan, FLOAT_PATH)),
        *_case("infer", _infer(plan, '"$OUT/${NAME}_quantize.onnx"')),
        *_case("layers", _layers(plan, '"$OUT/steps/output_all_layers_quantize.onnx"')),
        *_case("build", f"{_words('Knight', '--chip', plan.chip)} build --run-config ./knight/run_config.json"),
        *_case("*", 'echo "sh knight/run.sh [quant | qdq | calibrate | infer | layers | build]" >&2; exit 2'),
        "esac",
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _case(name: str, command: str) -> tuple[str, str]:
    return f"{name})", f"    {command} ;;"


def _quant(plan: KnightPlan, model: str) -> str:
    words = ["-b 8", f"-qm {tool_method(plan)}", f"-bs {plan.batch}", f"-i {plan.iterations}", "-r quant"]
    if plan.method == "percentile":
        words.append(f"-per {DEFAULT_SHARE}")
    if input_type(plan) is not None:
        words.append(f"-qid {input_type(plan)}")
    return _command(plan, model, " ".join([_function(plan, infer_function(plan), "CALIBRATION"), *words]))


def _infer(plan: KnightPlan, model: str) -> str:
    function = _function(plan, "bitbudget_evaluate", "EVALUATION")
    words = f"-qm {tool_method(plan)} -bs {plan.batch} -i {plan.evaluation_iterations} -r infer"
    return _command(plan, model, f"{function} {words}")


def _layers(plan: KnightPlan, model: str) -> str:
    function = _function(plan, infer_function(plan), "CALIBRATION")
    return _command(plan, model, f"{function} -qm {tool_method(plan)} -bs {plan.batch} -i 1 -r infer")


def _command(plan: KnightPlan, model: str, rest: str) -> str:
    return f'{_words("Knight", "--chip", plan.chip)} quant onnx -m {model} -s "$OUT" {rest}'


def _function(plan: KnightPlan, name: str, data: str) -> str:
    """Options that name the infer function; ``data`` is the variable with the data's path."""
    return f"-if {RANDOM_INFER}" if plan.calibration_file is None else f'-uds {SCRIPT} -if {name} -d "${data}"'


def _words(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _default(text: str) -> str:
    """A default inside ``${NAME:-...}``, whatever the text holds: the expansion is not split in an assignment."""
    return shlex.quote(text) if text else ""


def input_type(plan: KnightPlan) -> str | None:
    """The one type of inputs that are not quantized, None where there is none or they differ."""
    types = set(plan.exact.values())
    is_all = set(plan.exact) == set(plan.ranks)
    return types.pop() if len(types) == 1 and is_all else None


def readme(deployment: Deployment, plan: KnightPlan, *, mix_problems: Sequence[str]) -> str:
    """Return the explanation that lies beside the files."""
    used = len(plan.order)
    parts = [
        f"# Settings for {plan.chip}\n",
        f"Calibration method `{plan.method}`, {used} of {plan.n_calibration} calibration samples, 8 bit. "
        f"Samples are taken in one order, fixed by seed {plan.seed}; `infer.py` holds it as `ORDER`. Another order can "
        "give other shifts in the chip's arithmetic, so keep it.\n",
        _which_model(deployment, plan),
        _inputs(plan),
        _outputs(deployment),
        "The tool prints `Loss = |fix - float| / |float| * 100` of what the infer function returns. `result.json` has "
        "the same under `metrics[].loss`, from this search's own arithmetic.\n",
        _mix(plan, mix_problems),
        "`run.sh` uses the command line of the tool's manual. `-uds` (script), `-d` (data) and `-qid` (type of inputs "
        "that are not quantized) are taken from its list of options; the nesting of `run_config.json` from published "
        "examples.\n",
    ]
    return "\n".join(part for part in parts if part)


def _which_model(deployment: Deployment, plan: KnightPlan) -> str:
    opset = opset_of(onnx.load_from_string(deployment.quantized))
    refused = f"It needs opset {opset}, and tools built on ONNX 1.14 read up to {HIGHEST_OPSET}. "
    about = f"`knight/model.qdq.onnx` (opset {opset}) carries the scales of the search, and the tool takes them over."
    if plan.method not in MODES:
        return (
            f"`{plan.method}` takes the best method per tensor, which the tool has no name for, so it is given the "
            f"Q/DQ model. {about} {'' if is_readable(deployment) else refused}If yours refuses it, search again with "
            f"`calibration.methods: [{', '.join(MODES)}]`.\n"
        )
    second = f"the tool's own `{plan.method}` on `{FLOAT_MODEL}`, whose formula may differ from ours"
    if is_readable(deployment):
        return f"{about} So that is what `run.sh` hands it. `sh knight/run.sh calibrate` takes {second}.\n"
    return f"`run.sh` takes {second}. {about} {refused}`sh knight/run.sh qdq` tries it all the same.\n"


def _inputs(plan: KnightPlan) -> str:
    if not plan.exact:
        return ""
    listed = ", ".join(f"`{name}` ({kind})" for name, kind in plan.exact.items())
    by_hand = "" if input_type(plan) else " The tool has one option for all inputs, so it is not set: set it by hand."
    return f"Inputs that hold whole numbers and are not quantized: {listed}.{by_hand}\n"


def _outputs(deployment: Deployment) -> str:
    scaled = [f"`{name}`: {form.scale}" for name, form in deployment.outputs.items() if form.scale is not None]
    listed = f" Here: {', '.join(scaled)}." if scaled else ""
    return f"Integer outputs of the chip must be multiplied by their scale (`outputs` in `result.json`).{listed}\n"


def _mix(plan: KnightPlan, problems: Sequence[str]) -> str:
    if not plan.takes_mix:
        return f"There is no `mix_config.json`: the {plan.family} family computes in 8 bit only and takes none.\n"
    if problems:
        return "There is no `mix_config.json`, because the tool would refuse it: " + "; ".join(problems) + ".\n"
    return (
        "`mix_config.json` names operators as this model does. Compare the names with the template that "
        "`-gt` writes: the tool wants its own, every one of them.\n"
    )
