"""``deploy.json``: the deployment as a document, for tools of the user's own and for those we have no exporter for.

Its keys are the fields of the records below; ``deploy.schema.json`` beside this file is their JSON Schema. Names are
those of the float model that lies beside it. Integers are ``q = clamp(round(x / scale) + zero_point)``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from search.deployment.deployment import Deployment, Observation, WeightGrid
from search.deployment.float_model import FLOAT_MODEL, QDQ_MODEL
from search.deployment.gap import Gap
from search.deployment.members import Member, members
from search.precision import Format
from search.quant.grid import Grid
from search.records.document import to_json

SCHEMA = "bitbudget.deploy/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerForm:
    """A grid. ``threshold`` is ``scale * 2**(bits - 1)``; ``method`` is what gave the range, ``fixed`` a stated one."""

    format: str
    scale: float
    zero_point: int
    signed: bool
    threshold: float
    method: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRecord:
    """One stored value.

    Attributes:
        name: Value of the float model.
        format: ``int8 | int16 | fp16 | fp32``, as it is stored.
        grid: Of an integer format.
        prescale: ``k`` of a value held in fp16 as ``x * 2**-k``; 0 otherwise.
        also: Grids of the other integer formats in which some operator reads it, behind a cast.
        model_input: Whether it is an input of the model.
        model_outputs: Outputs of the model that are this value.
    """

    name: str
    format: str
    grid: IntegerForm | None
    prescale: int
    also: tuple[IntegerForm, ...]
    model_input: bool
    model_outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecord:
    """Input ``index`` of an operator: which stored value it is, under which name it is read, in which format."""

    index: int
    tensor: str
    value: str
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRecord:
    """A constant operand.

    Attributes:
        name: Initializer.
        node: Operator that reads it.
        index: Input of that operator.
        format: As it is stored.
        axis: Channel axis of ``scales``, None for one scale altogether.
        scales: Empty for a float format.
        zero_points: As many.
        signed: Whether the integers are.
    """

    name: str
    node: str
    index: int
    format: str
    axis: int | None
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRecord:
    """One node; see ``search.deployment.members.Member``. ``frozen`` forbids later changes, by a pin."""

    name: str
    op_type: str
    role: str
    group: str | None
    precision: str | None
    requested: str | None
    format: str
    reads: tuple[ReadRecord, ...]
    stored: str | None
    frozen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CastRecord:
    """A change of format between a stored value and input ``index`` of one reader."""

    tensor: str
    node: str
    index: int
    stored: str
    read: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """A model input, with the batch axis as 1."""

    name: str
    shape: tuple[int, ...]
    layout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """How a model output leaves: ``real = (q - zero_point) * scale``, or a float."""

    name: str
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRecord:
    """What one of the files beside this one cannot say; see ``search.deployment.gap.Gap``."""

    file: str
    decision: str
    subjects: tuple[str, ...]
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployDocument:
    """The whole of ``deploy.json``.

    ``command`` is the file whose run by the vendor's tool gives the network that was measured, where there is one.
    """

    schema: str
    target: str
    march: str | None
    toolchain: str | None
    float_model: str
    qdq_model: str
    command: str | None
    inputs: tuple[InputRecord, ...]
    outputs: tuple[OutputRecord, ...]
    operators: tuple[OperatorRecord, ...]
    tensors: tuple[TensorRecord, ...]
    constants: tuple[ConstantRecord, ...]
    casts: tuple[CastRecord, ...]
    gaps: tuple[GapRecord, ...]


def deploy_document(deployment: Deployment, gaps: Iterable[Gap] = (), *, command: str | None = None) -> DeployDocument:
    """Return the document of a deployment, with what the files beside it cannot say."""
    network = deployment.network
    return DeployDocument(
        schema=SCHEMA,
        target=deployment.target,
        march=deployment.march,
        toolchain=deployment.toolchain,
        float_model=FLOAT_MODEL,
        qdq_model=QDQ_MODEL,
        command=command,
        inputs=tuple(InputRecord(name=one.name, shape=one.shape, layout=one.layout) for one in deployment.inputs),
        outputs=tuple(
            OutputRecord(name=name, dtype=form.dtype, scale=form.scale, zero_point=form.zero_point)
            for name, form in deployment.outputs.items()
        ),
        operators=tuple(_operator(deployment, one) for one in members(deployment)),
        tensors=tuple(_tensor(deployment, t) for t in range(len(network.tensors))),
        constants=tuple(_constant(deployment, c) for c in range(len(network.constants))),
        casts=tuple(_casts(deployment)),
        gaps=tuple(GapRecord(file=g.file, decision=g.decision, subjects=g.subjects, effect=g.effect) for g in gaps),
    )


def deploy_text(deployment: Deployment, gaps: Iterable[Gap] = (), *, command: str | None = None) -> str:
    """Return ``deploy.json``: one record per line, the same bytes for equal deployments."""
    document: Mapping[str, object] = to_json(deploy_document(deployment, gaps, command=command))
    parts = [f"{json.dumps(name)}: {_lines(value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: object) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value, allow_nan=False)
    return "[\n" + ",\n".join(f" {json.dumps(one, allow_nan=False)}" for one in value) + "\n]"


def _operator(deployment: Deployment, member: Member) -> OperatorRecord:
    group, pin = member.group, deployment.pins.get(-1 if member.group is None else member.group)
    return OperatorRecord(
        name=member.name,
        op_type=member.op_type,
        role=member.role,
        group=None if group is None else f"g{group}",
        precision=None if member.precision is None else member.precision.value,
        requested=None if group is None else deployment.requested[group].value,
        format=member.format.value,
        reads=() if group is None else tuple(_reads(deployment, group, member.name)),
        stored=None if member.stored is None else member.stored.value,
        frozen=pin is not None and pin.freeze,
    )


def _reads(deployment: Deployment, group: int, node: str) -> Iterator[ReadRecord]:
    for position, (slot, fmt) in enumerate(deployment.slots(group)):
        if slot.node == node:
            yield ReadRecord(
                index=slot.index,
                tensor=deployment.network.tensors[slot.tensor].name,
                value=deployment.value_read(group, position),
                format=fmt.value,
            )


def _tensor(deployment: Deployment, index: int) -> TensorRecord:
    tensor, stored = deployment.network.tensors[index], deployment.placement.stored[index]
    read = {deployment.placement.read[g][s] for g, s in deployment.network.readers[index]}
    return TensorRecord(
        name=tensor.name,
        format=stored.value,
        grid=_form(deployment, index, stored),
        prescale=deployment.prescale.get(index, 0),
        also=tuple(form for fmt in sorted(read - {stored}) if (form := _form(deployment, index, fmt)) is not None),
        model_input=tensor.writer is None,
        model_outputs=tensor.model_outputs,
    )


def _form(deployment: Deployment, tensor: int, fmt: Format) -> IntegerForm | None:
    if not fmt.is_integer:
        return None
    return integer_form(deployment.grid(tensor, fmt), fmt, deployment.observations.get((tensor, fmt.bits)))


def integer_form(grid: Grid, fmt: Format, observation: Observation | None) -> IntegerForm:
    """Return the record of a grid."""
    return IntegerForm(
        format=fmt.value,
        scale=grid.scale,
        zero_point=grid.zero_point,
        signed=grid.signed,
        threshold=grid.threshold,
        method=None if observation is None else "fixed" if observation.fixed else observation.method,
    )


def _constant(deployment: Deployment, index: int) -> ConstantRecord:
    constant, fmt = deployment.network.constants[index], deployment.placement.constants[index]
    grid: WeightGrid | None = deployment.weights.get(index) if fmt.is_integer else None
    return ConstantRecord(
        name=constant.name,
        node=constant.node,
        index=constant.index,
        format=fmt.value,
        axis=None if grid is None else grid.axis,
        scales=() if grid is None else tuple(float(scale) for scale in grid.scales),
        zero_points=() if grid is None else tuple(int(point) for point in grid.zero_points),
        signed=grid is None or grid.signed,
    )


def _casts(deployment: Deployment) -> Iterator[CastRecord]:
    network = deployment.network
    for cast in deployment.placement.casts(network):
        slot = network.groups[cast.group].inputs[cast.slot]
        yield CastRecord(
            tensor=network.tensors[cast.tensor].name,
            node=slot.node,
            index=slot.index,
            stored=cast.stored.value,
            read=cast.read.value,
        )
