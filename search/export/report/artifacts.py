"""The delivered files, as links that cannot leave the report's own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from search.export.report import text


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A delivered file: ``href`` is relative to the report and percent-encoded."""

    name: str
    href: str
    purpose: str


PURPOSES = {
    "model.dynamic.onnx": "quantized dynamically by ONNX Runtime's own tool: faster here, and it meets the goals",
    "model.qdq.onnx": "the network with Q/DQ nodes, as it was verified; ONNX Runtime loads it",
    "ort_overrides.json": "tensor overrides for ONNX Runtime's quantizer",
    "ort_quantize.py": "turns the overrides into arguments of quantize_static",
    "horizon/quant_config.json": "node configuration of the Horizon tool-chain",
    "horizon/hb_compile.yaml": "compile configuration of the Horizon tool-chain",
    "horizon/qconfig_setter.py": "QAT and calibration setters, new templates",
    "horizon/qconfig_setter_legacy.py": "QAT and calibration setters, older plugin",
    "knight/run_config.json": "run configuration of the Knight tools",
    "knight/infer.py": "infer functions for the Knight tools: the job's preprocessing and metric",
    "knight/run.sh": "the commands of the Knight tools with the chosen settings",
    "knight/mix_config.json": "bit width and method of every operator, for Knight families that mix",
    "knight/metric.onnx": "the job's own metric, read by infer.py",
    "knight/README.md": "what the files beside it do, and how sure that is",
    "qconfig.csv": "formats, scales and thresholds of every operator",
    "sensitivity.csv": "every row of every sensitivity table",
    "layers.csv": "float against quantized, layer by layer",
    "precision_map.json": "the network drawn with its precisions, for machines",
    "layers.json": "the same with histograms, for machines",
    "trials.csv": "every trial with its verdict and reason",
    "result.json": "this result, for machines",
    "report.html": "the report: one file, opens offline",
    "qat_plan.md": "what to train, and how, where calibration alone is not enough",
}


def artifacts(files: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Return the delivered files as links that stay inside the report's own folder."""
    names = [str(path).lstrip("/") for path in files.values()]
    return tuple(
        Artifact(
            name=text.clean(name),
            # Quoting the colon as well leaves no way to write a scheme.
            href="./" + quote(name.replace("\\", "/"), safe="/", errors="replace"),
            purpose=PURPOSES.get(name, ""),
        )
        for name in names
        if ".." not in name.split("/")
    )
