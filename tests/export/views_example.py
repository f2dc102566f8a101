"""``precision_map.json`` and ``layers.json`` of a made-up network of any size, as plain values."""

from __future__ import annotations

import math
import random
from typing import Any

from search.export.drawing.draw import draw
from search.export.drawing.scopes import collapsed_at_first, scope_tree
from search.export.precision_map import PRECISIONS
from search.precision import Precision

GEMM = ("a8w8", "a16w8", "a8w16", "a16w16", "fp16")
OTHER = ("int8", "int16", "fp16", "fp32")


def names(n: int) -> list[str]:
    """Operators of residual blocks of four, eight blocks to a stage."""
    parts = ("conv1/Conv", "act/Relu", "conv2/Conv", "Add")
    return [f"/stage{i // 32}/stage{i // 32}.{i // 4}/{parts[i % 4]}" for i in range(n)]


def _precision(i: int, rng: random.Random) -> str:
    choices = GEMM if i % 4 in (0, 2) else OTHER
    return choices[0] if rng.random() < 0.8 else rng.choice(choices)


def example_map(n: int = 24, *, n_trials: int = 12, seed: int = 3, name: str | None = None) -> dict[str, Any]:
    """A chain of residual blocks; ``name`` replaces every name."""
    rng = random.Random(seed)
    trials = ["".join(str(PRECISIONS.index(_precision(i, rng))) for i in range(n)) for _ in range(n_trials)]
    chosen = [PRECISIONS[int(digit)] for digit in trials[0]]
    edges = sorted({(i, i + 1) for i in range(n + 1)} | {(i, i + 4) for i in range(0, n - 4, 4)})
    drawing = draw(n + 2, edges)
    tree = scope_tree(names(n))
    formats = ["int8", *("int16" if Precision(one).activation.value == "int16" else "int8" for one in chosen), "fp32"]
    nodes: list[dict[str, Any]] = [{"kind": "input", "id": "t0", "name": "image"}]
    for i, operator in enumerate(names(n)):
        nodes.append(
            {
                "kind": "group",
                "id": f"g{i}",
                "name": operator,
                "op_type": operator.rpartition("/")[2],
                "n_nodes": 1,
                "precision": chosen[i],
                "requested": chosen[i],
                "why": "",
                "macs": 1000,
                "macs_share": 1 / n,
                "cost_share": (1 + i % 7) / (4 * n),
                "scope": tree.scope_of[i],
            }
        )
    nodes.append({"kind": "output", "id": "out0", "name": "logits"})
    for node, row, x in zip(nodes, drawing.rows, drawing.x, strict=True):
        node.update(row=row, x=x)
        if name is not None:
            node["name"] = name
    return {
        "schema": "bitbudget.map/1",
        "width": drawing.width,
        "rows": max(drawing.rows) + 1,
        "nodes": nodes,
        "edges": [
            {
                "from": a,
                "to": b,
                "tensor": name or f"t{a}",
                "stored": formats[max(0, a)],
                "read": formats[b] if b <= n else formats[a],
                "bends": list(bends),
            }
            for (a, b), bends in zip(edges, drawing.bends, strict=True)
        ],
        "scopes": [{"path": name or one.path, "parent": one.parent, "size": one.size} for one in tree.scopes],
        "collapsed": list(collapsed_at_first(tree)),
        "precisions": list(PRECISIONS),
        "chosen": 1,
        "trials": [
            {"trial": i + 1, "stage": name or "ratio", "cost": 1.0 + i / 50, "verdict": "met", "precisions": digits}
            for i, digits in enumerate(trials)
        ],
        "n_trials": n_trials,
        "n_casts": 3,
        "cast_share": 0.02,
    }


def example_layers(n: int = 24, *, name: str | None = None) -> dict[str, Any]:
    """Error that falls at a third of the way; the last layer has no ratio."""
    layers = []
    for depth, operator in enumerate(["image", *names(n)]):
        sqnr = None if depth == n else 60.0 if depth == 0 else 45.0 - 20.0 * (depth > n // 3) - depth / n
        layers.append(
            {
                "depth": depth,
                "id": "t0" if depth == 0 else f"g{depth - 1}",
                "op_name": name or operator,
                "tensor": name or f"{operator}_output_0",
                "op_type": name or ("Input" if depth == 0 else operator.rpartition("/")[2]),
                "group": None if depth == 0 else f"g{depth - 1}",
                "precision": None if depth == 0 else "a8w8",
                "format": ("int8", "int16", "fp16", "fp32")[depth % 4],
                "reads": [depth - 1] if depth else [],
                "n": 4096,
                "sqnr_db": sqnr,
                "cosine": None if sqnr is None else 1 - 10 ** (-sqnr / 10),
                "rounding_db": None if depth % 4 == 3 else 48.0,
                "fall_db": None if depth == 0 or sqnr is None else 1.0,
                "float": [-1.5, 3.0 + depth],
                "quantized": [-1.4, 2.9 + depth],
                "scale": 0.02,
                "zero_point": 0,
                "threshold": 2.56,
                "clip": None if depth % 4 == 3 else [-2.56, 2.54],
                "clipped_share": None if depth % 4 == 3 else 0.0003,
                "reason": (name or "3 of 4096 quantized values are not finite") if sqnr is None else None,
                "histogram": {
                    "low": -1.5,
                    "high": 3.0 + depth,
                    "counts": [int(4000 * math.exp(-abs(k - 20) / 3)) for k in range(64)],
                },
            }
        )
    return {
        "schema": "bitbudget.layers/1",
        "evaluator": "integer",
        "samples": 32,
        "start": n // 3 + 1,
        "summary": name or "SQNR is lowest at the end.",
        "layers": layers,
    }


def example_views(n: int = 24, *, n_trials: int = 12, name: str | None = None) -> dict[str, dict[str, Any]]:
    """Both, as ``render_report`` takes them."""
    return {"map": example_map(n, n_trials=n_trials, name=name), "layers": example_layers(n, name=name)}
