"""The files below ``knight/``: run configuration, infer functions, script, explanation, and the mix configuration."""

from __future__ import annotations

import json
import pprint
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

from search import export
from search.deployment.deployment import Deployment
from search.deployment.float_model import FLOAT_MODEL
from search.deployment.gap import Gap
from search.deployment.knight_plan import KnightPlan
from search.deployment.quantized_model import quantized_model
from search.errors import UsageError
from search.export.attempts import Make
from search.export.knight_config import HIGHEST_OPSET, QDQ_FILE, is_readable, run_config
from search.export.knight_mix import MODES, mix_config, mix_problems
from search.export.knight_script import input_type, readme, run_script

_MARK = "# SETTINGS\n"


class KnightFolder:
    """The files of one deployment; each is made for itself, and may refuse with a ``UsageError``.

    Raises:
        UsageError: If the deployment is not for a Knight chip.
    """

    def __init__(self, deployment: Deployment) -> None:
        plan = deployment.knight
        if plan is None:
            raise UsageError(
                f"Target {deployment.target!r} names no chip of the Knight tools, so there is nothing to write."
            )
        self._deployment, self._plan = deployment, plan
        self._problems = mix_problems(deployment) if plan.takes_mix else []

    @property
    def makes(self) -> dict[str, Make]:
        """What makes each file, by path."""
        deployment, plan, problems = self._deployment, self._plan, self._problems
        has_mix = plan.takes_mix and not problems
        makes: dict[str, Make] = {
            QDQ_FILE: lambda: bytes(quantized_model(deployment).SerializeToString()),
            "knight/run_config.json": lambda: _json(run_config(deployment, plan, has_mix=has_mix)),
            "knight/run.sh": lambda: run_script(deployment, plan),
            "knight/README.md": lambda: readme(deployment, plan, mix_problems=problems),
        }
        if plan.calibration_file is not None:
            makes["knight/infer.py"] = lambda: infer_script(deployment, plan)
        if plan.metric is not None and (graph := plan.metric.graph) is not None:
            makes["knight/metric.onnx"] = lambda: graph
        if has_mix:
            makes["knight/mix_config.json"] = lambda: _json(mix_config(deployment))
        return makes

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What they leave unsaid."""
        return tuple(_gaps(self._deployment, self._plan, self._problems))


def _gaps(deployment: Deployment, plan: KnightPlan, problems: Sequence[str]) -> Iterator[Gap]:
    if problems:
        yield Gap(
            file="knight/README.md",
            decision="precision",
            subjects=(),
            effect=f"there is no mix_config.json, because the tool would refuse it: {problems[0]}",
        )
    if not is_readable(deployment):
        yield Gap(
            file="knight/run_config.json",
            decision="threshold",
            subjects=(),
            effect=f"the Q/DQ model needs an opset above {HIGHEST_OPSET}, which the tool does not read"
            + ("" if plan.method not in MODES else ", so it calibrates anew"),
        )
    if plan.exact and input_type(plan) is None:
        yield Gap(
            file="knight/run.sh",
            decision="input",
            subjects=tuple(plan.exact),
            effect="the tool has one type for all inputs that are not quantized, so it is not set",
        )


def infer_script(deployment: Deployment, plan: KnightPlan) -> str:
    """Return ``infer.py``: the fixed text with the settings of the search written into it."""
    text = resources.files(export).joinpath("templates", "knight_infer.py.txt").read_text("utf-8")
    settings = "".join(
        f"{name} = {pprint.pformat(value, width=116, compact=True)}\n" for name, value in _settings(deployment, plan)
    )
    return text.replace(_MARK, settings, 1)


def _settings(deployment: Deployment, plan: KnightPlan) -> tuple[tuple[str, Any], ...]:
    metric = plan.metric
    described = None
    if metric is not None:
        described = {
            "name": metric.name,
            "output": metric.output,
            "part": [[one.start, one.stop, one.step] for one in metric.part],
            "labels": metric.labels,
            "percentile": metric.percentile if metric.percentile is not None else 100.0,
            "is_fidelity": metric.is_fidelity,
            "float_model": FLOAT_MODEL,
        }
    return (
        ("INPUTS", [entry.name for entry in deployment.inputs]),
        ("AXES", dict(plan.ranks)),
        ("OUTPUTS", list(deployment.network.outputs)),
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
