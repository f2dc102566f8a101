"""What is known about single tensors before calibration: scales the model brought along, and what the job spec says.

A tensor is named by a value of the user's file or of the prepared model; a model input by its name, also where it holds
integers that a Cast brings to float.
"""

from __future__ import annotations

from collections.abc import Iterator

from search.calibration.grids import Fixed, check_symmetry
from search.errors import UsageError
from search.spec.job import JobSpec
from search.spec.suggestion import did_you_mean
from search.study.loaded import Loaded
from search.targets.target import Target


def fixed_tensors(spec: JobSpec, target: Target, loaded: Loaded) -> dict[int, Fixed]:
    """Tensor index to what the model's own Q/DQ, the settings of inputs and the calibration overrides fix; later wins.

    Raises:
        UsageError: If a name is no input or tensor of the model, or a setting does not fit the target.
    """
    check_symmetry(target, spec.calibration.weights.symmetric)
    found: dict[int, Fixed] = {}
    for name, scale in loaded.fixed_scales.activations.items():
        if name in loaded.structure.tensor_of:
            fixed = Fixed(scale=scale.scale[0], zero_point=scale.zero_point[0])
            found[loaded.structure.tensor_of[name]] = fixed
    found.update(_inputs(spec, loaded))
    for name, override in spec.calibration.overrides.items():
        ends = None if override.range is None else (override.range[0], override.range[1])
        found[tensor_named(loaded, name)] = Fixed(scale=override.scale, range=ends, method=override.method)
    return found


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
