"""A finished search as plain values, close to what a 20-layer network on j6m gives."""

from __future__ import annotations

import math
import random
from typing import Any

from search.export.report.assignment import OperatorRow
from search.records.result import Result

_LADDER = [
    ("all_high", 1.94, 0.9148, "met", 1.0, 2000, "upper bound"),
    ("all_low", 1.0, 0.7135, "not_met", 0.0, 2000, "lower bound"),
    ("common ratio", 1.41, 0.9129, "met", 0.5, 2000, "bisection: 0.5 meets, try lower"),
    ("common ratio", 1.19, 0.9104, "met", 0.25, 2000, "bisection: 0.25 meets, try lower"),
    ("common ratio", 1.08, 0.8965, "rejected", 0.125, 600, "predicted 0.896 on everything, below the goal"),
    ("common ratio", 1.13, 0.9058, "met", 0.1875, 2000, "bisection: 0.1875 meets"),
    ("common ratio", 1.105, 0.9031, "not_met", 0.15625, 2000, "one step below the smallest ratio that meets"),
    ("table ratio", 1.12, 0.9049, "not_met", 0.17, 2000, "missed by 0.0004"),
    ("compute back to int8", 1.09, None, "fail", None, 12, "accumulator of layer2.0.conv1 needs 33 bits, has 32"),
    ("compute back to int8", 1.082, 0.9064, "met", None, 2000, "layer1.2.conv2 at a8w8"),
    ("compute back to int8", 1.07, 0.9101, "met", None, 2000, "layer3.0.conv1 at a8w8"),
    (
        "compute back to int8",
        1.051,
        0.8990,
        "rejected",
        None,
        900,
        "predicted 0.899 on everything, below the goal",
    ),
]
METRIC = "top1@logits"


def example_trials() -> list[dict[str, Any]]:
    """Twelve trials of a ladder, two rejected early with an estimate of the rest and one infeasible."""
    return [
        {
            "no": number,
            "digest": f"{number:064x}",
            "stage": stage,
            "role": ROLES.get(stage, "candidate"),
            "cost": cost,
            "n_run": samples,
            "n_samples": 2000,
            "seen": {METRIC: value},
            "estimates": {METRIC: {"value": value + 0.002, "low": value - 0.004, "high": value + 0.007}}
            if verdict == "rejected"
            else {},
            "verdict": verdict,
            "why": why,
            "ratio": ratio,
            "requested": f"{number:012x}",
            "effective": f"{number:012x}",
            "seconds": 1.0,
        }
        for number, (stage, cost, value, verdict, ratio, samples, why) in enumerate(_LADDER, start=1)
    ]


ROLES = {"all_high": "all_high", "all_low": "all_low"}


def _nodes() -> list[tuple[str, str, float]]:
    nodes = [("conv1", "Conv", 0.011), ("relu1", "Relu", 0.0)]
    for layer, share in ((1, 0.05), (2, 0.045), (3, 0.043)):
        for block in range(3):
            prefix = f"layer{layer}.{block}"
            for name, op_type, part in (
                ("conv1", "Conv", share),
                ("relu1", "Relu", 0.0),
                ("conv2", "Conv", share * 1.2),
                ("add", "Add", 0.0),
                ("relu2", "Relu", 0.0),
            ):
                nodes.append((f"{prefix}.{name}", op_type, part))
    return [*nodes, ("avgpool", "GlobalAveragePool", 0.0004), ("flatten", "Flatten", 0.0), ("fc", "Gemm", 0.0002)]


_PRECISION = {
    "conv1": "a16w8",
    "layer1.0.conv1": "a16w8",
    "layer1.2.conv2": "a8w16",
    "layer2.1.conv2": "a16w8",
    "avgpool": "int16",
    "layer3.2.conv2": "fp16",
    "fc": "a16w8",
}


def example_qconfig() -> list[dict[str, Any]]:
    """One row per operator; the first convolution and one pooling were changed by chip rules."""
    rows = []
    for index, (name, op_type, share) in enumerate(_nodes()):
        gemm = op_type in ("Conv", "Gemm")
        effective = _PRECISION.get(name, "a8w8" if gemm else "int8")
        requested, reason = effective, ""
        if name == "layer1.0.conv1":
            requested, reason = "a16w16", "toolchain 3.0.17 has no dual int16 (from 3.2.0)"
        if name == "avgpool":
            requested, reason = "fp16", "J6M has no fp16 pooling: raised to the highest it has"
        group = f"g{index:02d}" if gemm else f"g{max(0, index - 1):02d}"
        rows.append(
            {
                "name": name,
                "op_type": op_type,
                "group": group,
                "requested": requested,
                "effective": effective,
                "reason": reason,
                "share": share,
            }
        )
    return rows


def example_sensitivity(n_points: int = 96) -> list[dict[str, Any]]:
    """Two tables (two bases) with errors that fall off like a power law."""
    rng = random.Random(7)
    rows = []
    for base, scale in (("all_int16", 0.21), ("all_int8", 0.34)):
        for rank in range(1, n_points + 1):
            layer, block = 1 + rng.randrange(3), rng.randrange(3)
            rows.append(
                {
                    "output": "logits",
                    "metric": "cosine",
                    "base": base,
                    "op_name": "conv1" if rank == 1 else f"layer{layer}.{block}.conv{1 + rng.randrange(2)}",
                    "sensitive_type": "weight" if rng.random() < 0.4 else "activation",
                    "op_type": "Conv",
                    "value": scale / rank**1.25 * (0.94 + 0.06 * math.sin(rank)),
                    "dtype": "int8",
                    "flops": 1.0e6 * rank,
                    "flops_share": 0.6 / n_points,
                    "group": f"g{rank % 20:02d}",
                    "rank": rank,
                }
            )
    return rows


def example_result() -> dict[str, Any]:
    """The value of ``result.json`` of the same search."""
    return {
        "schema": "bitbudget.result/2",
        "outcome": "met",
        "stopped": None,
        "target": "j6m",
        "toolchain": "3.0.17",
        "strategy": "ladder",
        "seed": 0,
        "verified": "simulator",
        "metrics": [
            {
                "id": METRIC,
                "name": "top1",
                "output": "logits",
                "direction": "higher",
                "evaluator": "integer",
                "float": 0.9153,
                "required": 0.9053,
                "chosen": 0.9101,
                "qdq": 0.9104,
                "qdq_unoptimized": 0.9102,
                "confirmed": None,
                "interval": [0.8968, 0.9219],
                "interval_method": "wilson",
                "difference": {"value": -0.0052, "interval": [-0.0098, -0.0006], "method": "newcombe_paired"},
                "certainty": "met",
                "n_samples": 2000,
            }
        ],
        "cost": {
            "unit": "index",
            "chosen": 1.07,
            "all_low": 1.0,
            "all_high": 1.94,
            "source": "assumed",
            "assumed_share": 0.8,
        },
        "assignment": {
            row["name"]: {
                "precision": row["effective"],
                "requested": row["requested"],
                "group": row["group"],
                "role": "fused" if row["op_type"] in ("Relu", "Add") else "compute",
                "into": row["name"].replace("relu1", "conv1").replace("relu2", "conv2").replace("add", "conv2")
                if row["op_type"] in ("Relu", "Add")
                else None,
                "why": "",
            }
            for row in example_qconfig()
        },
        "outputs": {"logits": {"dtype": "float32", "scale": None, "zero_point": None}},
        "calibration": {"method_8": "kl_v2", "method_16": "min_max", "samples": 256},
        "search": {"evaluations": 12, "full_set_equivalents": 9.8, "seconds": 61.2, "float_evaluation_seconds": 9.1},
        "minimal": None,
        "chosen_trial": 11,
        "trials": example_trials(),
        "front": [
            {"trial": 2, "cost": 1.0, "values": {METRIC: 0.7135}},
            {"trial": 11, "cost": 1.07, "values": {METRIC: 0.9101}},
            {"trial": 3, "cost": 1.41, "values": {METRIC: 0.9129}},
            {"trial": 1, "cost": 1.94, "values": {METRIC: 0.9148}},
        ],
        "findings": [
            {
                "code": "both-sides-sensitive",
                "severity": "warning",
                "message": "layer3.2.conv2 is sensitive on both sides and dual int16 is missing: it runs at fp16.",
                "evidence": {"activation error": 0.1132, "weight error": 0.0971, "fp16 cost": 0.031},
                "advice": "Tool-chain 3.2.0 allows a16w16 here; or flatten the weight range of this layer.",
            },
            {
                "code": "integral-input",
                "severity": "note",
                "message": "Input image holds whole numbers in 0..255 but is declared as float: quantized.",
                "evidence": {"where": "image"},
                "advice": "Declare it as uint8, or set inputs.image.quantize to false.",
            },
        ],
        "artifacts": {
            "result": "result.json",
            "qdq": "model.qdq.onnx",
            "ort_overrides": "ort_overrides.json",
            "ort_quantize": "ort_quantize.py",
            "quant_config": "horizon/quant_config.json",
            "hb_compile": "horizon/hb_compile.yaml",
            "qconfig_setter": "horizon/qconfig_setter.py",
            "qconfig": "qconfig.csv",
            "sensitivity": "sensitivity.csv",
            "trials": "trials.csv",
        },
    }


def example_operators() -> list[OperatorRow]:
    """The rows of ``qconfig`` as the report takes them."""
    return [OperatorRow(**row) for row in example_qconfig()]


def example_read(trials: list[dict[str, Any]] | None = None) -> Result:
    """The result as a record, with other trials if any are given."""
    document = example_result()
    return Result.from_json(document if trials is None else {**document, "trials": trials})
