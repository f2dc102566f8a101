"""Readers of the delivered files, written from the formats alone: what a vendor's tool would learn from each.

Nothing of the product is imported, so an error of an exporter is not made twice.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import numpy_helper

Scales = dict[str, set[float]]
"""Value of the float model to every scale it is rounded with."""


@dataclass(frozen=True)
class Wanted:
    """A tensor in integers: the names its values have, in front of and behind operators that only move them."""

    names: frozenset[str]
    scales: frozenset[float]


def stated(folder: Path) -> tuple[Wanted, ...]:
    """What was measured, by ``deploy.json``: tensors that some operator reads or the model hands out."""
    document = json.loads((folder / "deploy.json").read_text())
    names: dict[str, set[str]] = {}
    for read in (one for operator in document["operators"] for one in operator["reads"]):
        names.setdefault(read["tensor"], {read["tensor"]}).add(read["value"])
    found = []
    for tensor in document["tensors"]:
        forms = [form for form in (tensor["grid"], *tensor["also"]) if form is not None]
        if forms and (tensor["name"] in names or tensor["model_outputs"]):
            known = frozenset(names.get(tensor["name"], {tensor["name"]}))
            found.append(Wanted(known, frozenset(form["scale"] for form in forms)))
    return tuple(found)


def of_model(path: Path) -> Scales:
    """Scales of the Q/DQ pairs on activations; a pair counts if a DequantizeLinear reads the integers."""
    graph = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    dequantized = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    found: Scales = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] in dequantized:
            name = node.input[0].removesuffix("_QuantizeLinear_Input")
            name = name.removesuffix("_DequantizeLinear_Output")
            scale = float(numpy_helper.to_array(constants[node.input[1]]))
            found.setdefault(name, set()).add(scale)
    return found


def of_hmct(folder: Path) -> Scales:
    """Thresholds that ``hb_compile -c horizon/hb_compile_load.yaml`` loads."""
    document = yaml.safe_load((folder / "horizon/hb_compile_load.yaml").read_text())
    config = json.loads((folder / document["calibration_parameters"]["quant_config"]).read_text())
    assert config["model_config"]["activation"] == {"calibration_type": "load"}
    return of_model(folder / document["model_parameters"]["onnx_model"])


def of_knight(folder: Path) -> Scales:
    """Scales of the model that ``knight/run_config.json`` names."""
    document = json.loads((folder / "knight/run_config.json").read_text())
    return of_model(folder / document["quant"]["model"])


def of_overrides(folder: Path) -> Scales:
    """Scales that ONNX Runtime's quantizer is given."""
    found: Scales = {}
    for name, (first, *_) in json.loads((folder / "ort_overrides.json").read_text())["overrides"].items():
        scales = [first["scale"], *([first["convert"]["scale"]] if "convert" in first else [])]
        found[name] = {float(np.float32(scale)) for scale in scales}
    return found


def of_setter(folder: Path) -> dict[str, float]:
    """Module to the threshold of its output, from the maps of ``qconfig_setter.py``, which is read and not run."""
    tree = ast.parse((folder / "horizon/qconfig_setter.py").read_text())
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for module, entry in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(entry, ast.Dict) and isinstance(module, ast.Constant):
                    keys = [ast.literal_eval(key) for key in entry.keys if key is not None]
                    if "threshold" in keys:
                        found[module.value] = ast.literal_eval(entry.values[keys.index("threshold")])
    return found


def share(found: Scales, wanted: Sequence[Wanted]) -> float:
    """Share of the wanted tensors whose every scale is there; 1 where nothing is in integers."""
    there = [one.scales <= set().union(*(found.get(name, set()) for name in one.names)) for one in wanted]
    return sum(there) / len(there) if there else 1.0
