"""The files below ``horizon/``, and what they cannot say of a deployment.

Two routes lead from ONNX to the chip. ``hb_compile.yaml`` calibrates the float model as ``quant_config.json`` says;
``hb_compile_load.yaml`` loads the thresholds of the search. A third, through PyTorch, takes the setters.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import onnx

from search.deployment.deployment import Deployment
from search.deployment.gap import Gap
from search.deployment.members import members
from search.export import hb_compile, hmct_config
from search.export.attempts import Make
from search.export.hb_compile import hb_compile_text
from search.export.hmct_calibration import node_section, not_calibrated
from search.export.hmct_config import hmct_text
from search.export.horizon_model import (
    FLOAT_MODEL,
    HIGHEST_OPSET,
    LOADED_MODEL,
    horizon_float_model,
    horizon_loaded_model,
)
from search.export.horizon_readme import horizon_readme
from search.export.qconfig_gaps import qconfig_gaps
from search.export.qconfig_setter import qconfig_setter
from search.export.qconfig_setter_legacy import qconfig_setter_legacy
from search.graph.limits import opset_of
from search.precision import Format


class HorizonFolder:
    """The files of one deployment; each is made for itself, and may refuse with a ``UsageError``."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    @property
    def makes(self) -> dict[str, Make]:
        """What makes each file, by path."""
        deployment = self._deployment
        return {
            FLOAT_MODEL: lambda: _content(self._calibrated),
            LOADED_MODEL: lambda: _content(self._loaded),
            hmct_config.CALIBRATED: lambda: hmct_text(deployment),
            hmct_config.LOADED: lambda: hmct_text(deployment, loads=True),
            hb_compile.CALIBRATED: lambda: hb_compile_text(deployment),
            hb_compile.LOADED: lambda: hb_compile_text(deployment, loads=True),
            "horizon/qconfig_setter.py": lambda: qconfig_setter(deployment).text,
            "horizon/qconfig_setter_legacy.py": lambda: qconfig_setter_legacy(deployment).text,
            "horizon/README.md": lambda: horizon_readme(deployment, self._opsets, self.gaps),
        }

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """What they leave unsaid."""
        deployment = self._deployment
        return (*_config_gaps(deployment), *_model_gaps(deployment, self._opsets), *qconfig_gaps(deployment))

    @cached_property
    def _calibrated(self) -> onnx.ModelProto:
        return horizon_float_model(self._deployment)

    @cached_property
    def _loaded(self) -> onnx.ModelProto:
        return horizon_loaded_model(self._deployment)

    @property
    def _opsets(self) -> dict[str, int]:
        return {FLOAT_MODEL: opset_of(self._calibrated), LOADED_MODEL: opset_of(self._loaded)}


def _content(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString())


def _config_gaps(deployment: Deployment) -> Iterator[Gap]:
    for method, tensors in not_calibrated(deployment).items():
        is_fixed = method == "fixed"
        had = "a stated range" if is_fixed else f"ranges by {method}"
        yield Gap(
            file=hmct_config.CALIBRATED,
            decision="fixed-range" if is_fixed else "method",
            subjects=tensors,
            effect=f"tensors with {had} are calibrated anew, by a method of HMCT; {hb_compile.LOADED} carries them",
        )
    own = tuple(member.name for member in members(deployment) if node_section(deployment, member))
    if own:
        yield Gap(
            file=hmct_config.CALIBRATED,
            decision="method",
            subjects=own,
            effect="nodes with another method than most state it under node_config.activation, a nesting that HMCT's "
            "public pages imply and do not show",
        )
    coarse = tuple(
        constant.name
        for c, constant in enumerate(deployment.network.constants)
        if c in deployment.weights and deployment.weights[c].axis is None and constant.axis is not None
    )
    if coarse:
        yield Gap(
            file=hmct_config.CALIBRATED,
            decision="threshold",
            subjects=coarse,
            effect="weights with one scale altogether get one per channel",
        )
    yield from _output_gaps(deployment)
    yield from _prescale_gaps(deployment)


def _output_gaps(deployment: Deployment) -> Iterator[Gap]:
    types = {form.dtype for form in deployment.outputs.values()}
    integers = tuple(name for name, form in deployment.outputs.items() if form.scale is not None)
    if len(types) > 1 and integers:
        yield Gap(
            file=hmct_config.CALIBRATED,
            decision="output",
            subjects=integers,
            effect="model_output_type is one for all outputs, so these leave as floats",
        )


def _prescale_gaps(deployment: Deployment) -> Iterator[Gap]:
    if deployment.prescale:
        yield Gap(
            file=hmct_config.CALIBRATED,
            decision="pre-scale",
            subjects=tuple(deployment.network.tensors[t].name for t in sorted(deployment.prescale)),
            effect="values held pre-scaled pass through a Mul before and one after, and what reads them in fp16 is "
            "named float32, since the value itself is beyond float16",
        )


def _model_gaps(deployment: Deployment, opsets: dict[str, int]) -> Iterator[Gap]:
    for file, opset in opsets.items():
        if opset > HIGHEST_OPSET:
            yield Gap(
                file=file,
                decision="precision",
                subjects=(),
                effect=f"the model needs opset {opset}, and HMCT's documents name {HIGHEST_OPSET} as the highest",
            )
    wide = tuple(
        tensor.name for t, tensor in enumerate(deployment.network.tensors) if Format.INT16 in _formats(deployment, t)
    )
    if wide and opsets[LOADED_MODEL] <= HIGHEST_OPSET:
        yield Gap(
            file=LOADED_MODEL,
            decision="threshold",
            subjects=wide,
            effect="Q/DQ pairs in 16 bit stand in the domain com.microsoft, since ONNX has them from opset 21 on only; "
            "whether HMCT reads them is not public",
        )


def _formats(deployment: Deployment, tensor: int) -> set[Format]:
    read = (deployment.placement.read[g][s] for g, s in deployment.network.readers[tensor])
    return {deployment.placement.stored[tensor], *read}
