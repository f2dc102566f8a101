"""Small deployments put together by hand, for the tests of the exported files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import helper

from search.assignment import Assignment
from search.deployment.deployment import Deployment, GroupPin, ModelInput, NodeFate, Observation, OutputForm, WeightGrid
from search.graph.network import (
    Constant,
    ConstantKind,
    Group,
    Network,
    OpClass,
    Slot,
    SlotKind,
    Tensor,
)
from search.precision import Format, Precision
from search.quant.grid import grid_from_threshold
from search.targets.placement import Placement
from tests.builders import model

I8, I16, F16, F32 = Format.INT8, Format.INT16, Format.FP16, Format.FP32


def group(
    name: str, op_type: str, op_class: OpClass, inputs: list[Slot], outputs: list[int], nodes: tuple[str, ...] = ()
) -> Group:
    """A group with one node unless more are named."""
    return Group(
        name=name,
        op_type=op_type,
        op_class=op_class,
        nodes=(name, *nodes),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        macs=100 if op_class is OpClass.GEMM else 0,
        elements=10,
    )


def activation(tensor: int, node: str, index: int = 0, kind: SlotKind = SlotKind.ACTIVATION) -> Slot:
    """A slot of the usual kind."""
    return Slot(tensor=tensor, kind=kind, node=node, index=index)


def weight(name: str, group_index: int, node: str, channels: int = 4) -> Constant:
    """A Conv weight per output channel."""
    return Constant(
        name=name, group=group_index, kind=ConstantKind.WEIGHT, node=node, index=1, shape=(channels, 4, 1, 1), axis=0
    )


def residual_network() -> Network:
    """Image -> stem Conv+Relu -> block Conv (+ stem) + Relu -> norm -> MatMul of two activations -> head Gemm."""
    return Network(
        groups=(
            group(
                "/stem/conv/Conv", "Conv", OpClass.GEMM, [activation(0, "/stem/conv/Conv")], [1], ("/stem/act/Relu",)
            ),
            group(
                "/block/block.0/conv/Conv",
                "Conv",
                OpClass.GEMM,
                [
                    activation(1, "/block/block.0/conv/Conv"),
                    activation(1, "/block/block.0/Add", 1, SlotKind.SUM_IN),
                ],
                [2],
                ("/block/block.0/Add",),
            ),
            group(
                "/norm/LayerNormalization",
                "LayerNormalization",
                OpClass.NORM,
                [activation(2, "/norm/LayerNormalization")],
                [3],
            ),
            group(
                "/attn/MatMul",
                "MatMul",
                OpClass.GEMM,
                [activation(3, "/attn/MatMul", 0), activation(2, "/attn/MatMul", 1, SlotKind.SECOND)],
                [4],
            ),
            group("/head/layers.0/Gemm", "Gemm", OpClass.GEMM, [activation(4, "/head/layers.0/Gemm")], [5]),
        ),
        tensors=(
            Tensor("image", None, "image", 48),
            Tensor("stem_out", 0, "/stem/conv/Conv", 64),
            Tensor("block_out", 1, "/block/block.0/conv/Conv", 64),
            Tensor("norm_out", 2, "/norm/LayerNormalization", 64),
            Tensor("attn_out", 3, "/attn/MatMul", 64),
            Tensor("logits", 4, "/head/layers.0/Gemm", 10, ("logits",)),
        ),
        constants=(
            weight("stem.w", 0, "/stem/conv/Conv"),
            weight("block.w", 1, "/block/block.0/conv/Conv"),
            Constant("gamma", 2, ConstantKind.OPERAND, "/norm/LayerNormalization", 1, (4,), None),
            weight("head.w", 4, "/head/layers.0/Gemm"),
        ),
        outputs=("logits",),
    )


RESIDUAL_TYPES = {
    "/stem/conv/Conv": "Conv",
    "/stem/act/Relu": "Relu",
    "/block/block.0/conv/Conv": "Conv",
    "/block/block.0/Add": "Add",
    "/norm/LayerNormalization": "LayerNormalization",
    "/attn/MatMul": "MatMul",
    "/head/layers.0/Gemm": "Gemm",
    "flatten_7": "Flatten",
}


def graph_of(types: Mapping[str, str], *, opset: int = 13) -> bytes:
    """A model that has these nodes and computes nothing: files name nodes, they do not run them."""
    nodes = [helper.make_node("Identity", ["image"], [f"v{n}"], name=name) for n, name in enumerate(types)]
    return model(nodes, ["image:float32[1,3,4,4]"], [], opset=opset).SerializeToString()


def weight_grid(constant: Constant, bits: int) -> WeightGrid:
    """Scales that differ per channel."""
    n = 1 if constant.axis is None else constant.shape[constant.axis]
    scales = (0.01 * (1 + np.arange(n)) / 2 ** (bits - 8)).astype(np.float32)
    return WeightGrid(scales=scales, zero_points=np.zeros(n, np.int64), axis=constant.axis, bits=bits)


def residual_deployment(**changes: Any) -> Deployment:
    """stem a8w8, block a16w8, norm fp16 (frozen by scarcity), attn a16w8 with int16 on input 0, head a16w16."""
    network = residual_network()
    effective = (Precision.A8W8, Precision.A16W8, Precision.FP16, Precision.A16W8, Precision.A16W16)
    placement = Placement(
        stored=(I8, I16, I16, F16, I16, F32),
        read=((I8,), (I16, I8), (F16,), (I16, I8), (I16,)),
        constants=(I8, I8, F16, I16),
    )
    grids = {(t, bits): grid_from_threshold(1.0 + t, bits) for t in range(6) for bits in (8, 16)}
    constant_bits = {0: 8, 1: 8, 3: 16}
    base = Deployment(
        graph=graph_of(RESIDUAL_TYPES),
        quantized=graph_of(RESIDUAL_TYPES),
        network=network,
        target="j6m",
        kind="horizon",
        march="nash-m",
        toolchain="3.2.0",
        requested=Assignment((*effective[:3], Precision.A16W16, effective[4])),
        effective=Assignment(effective),
        reasons=("", "", "", "no dual int16 on a MatMul of two activations", ""),
        placement=placement,
        grids=grids,
        weights={c: weight_grid(network.constants[c], bits) for c, bits in constant_bits.items()},
        inputs=(ModelInput(name="image", shape=(1, 3, 4, 4)),),
        observations={
            key: Observation(method="kl" if key[1] == 8 else "min_max", fixed=key[0] == 1) for key in sorted(grids)
        },
        pins={4: GroupPin(match="head.*", freeze=True)},
        fates={"/stem/act/Relu": NodeFate(role="fused", into="/stem/conv/Conv", why="Relu is fused into the Conv")},
        outputs={"logits": OutputForm(dtype="float32")},
        node_types=RESIDUAL_TYPES,
        achieved_ratio=0.99,
    )
    return replace(base, **changes)


def chain_deployment(
    precisions: list[Precision],
    *,
    names: list[str] | None = None,
    types: Mapping[str, str] | None = None,
    **changes: Any,
) -> Deployment:
    """Convs in a row, one per precision, each read and stored as its precision asks."""
    n = len(precisions)
    names = names or [f"/layers.{i}/Conv" for i in range(n)]
    network = Network(
        groups=tuple(group(names[i], "Conv", OpClass.GEMM, [activation(i, names[i])], [i + 1]) for i in range(n)),
        tensors=(
            Tensor("image", None, "image", 48),
            *(Tensor(f"t{i + 1}", i, names[i], 48, (f"t{i + 1}",) if i == n - 1 else ()) for i in range(n)),
        ),
        constants=tuple(weight(f"w{i}", i, names[i]) for i in range(n)),
        outputs=(f"t{n}",),
    )
    stored = (*(p.activation for p in precisions), F32)
    integer = [i for i, p in enumerate(precisions) if p.weight.is_integer]
    types = dict.fromkeys(names, "Conv") if types is None else types
    base = Deployment(
        graph=graph_of(types),
        quantized=graph_of(types),
        network=network,
        target="j6m",
        kind="horizon",
        march="nash-m",
        toolchain="3.0.17",
        requested=Assignment(tuple(precisions)),
        effective=Assignment(tuple(precisions)),
        reasons=("",) * n,
        placement=Placement(
            stored=stored,
            read=tuple((p.activation,) for p in precisions),
            constants=tuple(p.weight for p in precisions),
        ),
        grids={(t, bits): grid_from_threshold(1.0 + t, bits) for t in range(n + 1) for bits in (8, 16)},
        weights={i: weight_grid(network.constants[i], precisions[i].weight.bits) for i in integer},
        inputs=(ModelInput(name="image", shape=(1, 4, 4, 4)),),
        node_types=types,
    )
    return replace(base, **changes)
