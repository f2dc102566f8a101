"""What is known about single tensors before calibration: scales the model brought along, and what the job spec says.

A tensor is named by a value of the user's file or of the prepared model; a model input by its name, also where it holds
integers that a Cast brings to float.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from search.calibration.grids import Fixed, check_symmetry
from search.errors import UsageError
from search.graph.quantized_input import FixedScale
from search.quant.grid import ScaleRule, integer_dtype
from search.spec.job import JobSpec
from search.spec.suggestion import did_you_mean
from search.targets.target import Target
from search.work.loaded import Loaded


def fixed_tensors(spec: JobSpec, target: Target, loaded: Loaded) -> dict[int, Fixed]:
    """Tensor index to what the model's own Q/DQ, the settings of inputs and the calibration overrides fix; later wins.

    Raises:
        UsageError: If a name is no input or tensor of the model, or a setting does not fit the target.
    """
    check_symmetry(target, spec.calibration.weights.symmetric)
    found: dict[int, Fixed] = {}
    for name, scale in loaded.fixed_scales.activations.items():
        if name in loaded.structure.tensor_of:
            found[loaded.structure.tensor_of[name]] = Fixed(range=_range_of(scale))
    found.update(_inputs(spec, loaded))
    for name, override in spec.calibration.overrides.items():
        ends = None if override.range is None else (override.range[0], override.range[1])
        found[tensor_named(loaded, name)] = Fixed(scale=override.scale, range=ends, method=override.method)
    return found


def imported_scales(loaded: Loaded, target: Target) -> dict[tuple[int, int], tuple[float, int]]:
    """``(tensor, bits)`` to scale and zero point of a quantized file, where the target can use them as they are.

    At the other width, and on a target with another kind of zero point, its range is kept instead.
    """
    rule = ScaleRule(target.activation_rule)
    found = {}
    for name, fixed in loaded.fixed_scales.activations.items():
        fits = fixed.signed == rule.signed and (not rule.symmetric or fixed.zero_point[0] == 0)
        if fits and name in loaded.structure.tensor_of:
            found[(loaded.structure.tensor_of[name], fixed.bits)] = (fixed.scale[0], fixed.zero_point[0])
    return found


def imported_weights(loaded: Loaded) -> dict[tuple[int, int], tuple[tuple[float, ...], tuple[int, ...]]]:
    """``(constant, bits)`` to the scales and zero points of weights a quantized file held as signed integers."""
    found = {}
    for c, constant in enumerate(loaded.structure.network.constants):
        fixed = loaded.fixed_scales.weights.get(constant.name)
        if fixed is not None and fixed.signed and (len(fixed.scale) == 1 or fixed.axis == constant.axis):
            found[(c, fixed.bits)] = (fixed.scale, fixed.zero_point)
    return found


def _range_of(fixed: FixedScale) -> tuple[float, float]:
    """Smallest and largest value of the imported grid."""
    info = np.iinfo(integer_dtype(fixed.bits, signed=fixed.signed))
    scale, zero_point = fixed.scale[0], fixed.zero_point[0]
    return (int(info.min) - zero_point) * scale, (int(info.max) - zero_point) * scale


def tensor_named(loaded: Loaded, name: str) -> int:
    """Index of the tensor that holds the value ``name``.

    Raises:
        UsageError: If there is none.
    """
    tensor_of = loaded.structure.tensor_of
    now = loaded.value_names.get(name, name)
    if now in tensor_of:
        return tensor_of[now]
    if now in loaded.template.initializers:
        raise UsageError(
            f"calibration.overrides: {name!r} is a constant; its scales follow from its values. "
            "Only tensors that depend on the data have a range, a method or a scale here."
        )
    near = did_you_mean(name, (*tensor_of, *loaded.value_names))
    raise UsageError(f"calibration.overrides: the model has no tensor {name!r}{near}.")


def _inputs(spec: JobSpec, loaded: Loaded) -> Iterator[tuple[int, Fixed]]:
    names = [value.name for value in loaded.user.inputs]
    for name, settings in spec.inputs.items():
        if name not in names:
            near = did_you_mean(name, names)
            raise UsageError(f"inputs: the model has no input {name!r}{near}; it has {', '.join(names)}.")
        ends = None if settings.range is None else (settings.range[0], settings.range[1])
        if ends is not None and not settings.quantize:
            raise UsageError(f"inputs.{name}: give a range, or quantize: false, not both.")
        if ends is not None or not settings.quantize:
            for tensor in input_tensors(loaded, name):
                yield tensor, Fixed(range=ends, exact=not settings.quantize)


def input_tensors(loaded: Loaded, name: str) -> tuple[int, ...]:
    """Tensors that are the model input ``name``, or the integers of it brought to float; none where it only indexes."""
    network, tensor_of = loaded.structure.network, loaded.structure.tensor_of
    if name in tensor_of:
        return (tensor_of[name],)
    producer = {out: node for node in loaded.template.model.graph.node for out in node.output}
    found = []
    for t, tensor in enumerate(network.tensors):
        value = tensor.name
        while tensor.integer_input is not None and value in producer:
            value = producer[value].input[0]
        if tensor.integer_input is not None and value == name:
            found.append(t)
    return tuple(found)
