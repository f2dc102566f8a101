from __future__ import annotations

import pytest

from search.graph.network import Constant, ConstantKind, Group, Network, OpClass, Slot, SlotKind, Tensor
from search.precision import Format
from search.sensitivity.points import Point, PointKind, points_of
from search.targets.placement import Placement

I8, I16, F16, F32 = Format.INT8, Format.INT16, Format.FP16, Format.FP32


def network(*, integer_input: tuple[int, int] | None = None) -> Network:
    """x -> conv -> a -> add(a, a) -> y"""
    conv = Group("conv", "Conv", OpClass.GEMM, ("conv",), (Slot(0, SlotKind.ACTIVATION, "conv", 0),), (1,), 90, 9)
    slots = tuple(Slot(1, SlotKind.ACTIVATION, "add", i) for i in range(2))
    add = Group("add", "Add", OpClass.ELEMENTWISE, ("add",), slots, (2,), 0, 9)
    tensors = (
        Tensor("x", None, "x", 9, integer_input=integer_input),
        Tensor("a", 0, "conv", 9),
        Tensor("y", 1, "add", 9, ("y",)),
    )
    weight = Constant("w", 0, ConstantKind.WEIGHT, "conv", 1, (3, 3), 0)
    return Network((conv, add), tensors, (weight,), ("y",))


def test_points_are_tensors_then_constants_in_the_lowest_format_they_are_held_in():
    placement = Placement((I8, I16, F32), ((I8,), (I8, I16)), (I8,))
    assert points_of(network(), placement, (I8,)) == (
        Point(PointKind.ACTIVATION, 0, I8),
        Point(PointKind.ACTIVATION, 1, I8),
        Point(PointKind.WEIGHT, 0, I8),
    )


def test_only_the_formats_asked_for_count():
    placement = Placement((I8, I16, F32), ((I8,), (I16, I16)), (I8,))
    assert points_of(network(), placement, (I16,)) == (Point(PointKind.ACTIVATION, 1, I16),)
    assert points_of(network(), placement, (F16,)) == ()


@pytest.mark.parametrize(
    ("ends", "fmt", "is_point"),
    [
        ((0, 255), I8, False),
        ((-128, 127), I8, False),
        ((0, 256), I8, True),
        ((-1, 255), I8, True),
        ((-32768, 32767), I8, True),
        ((-32768, 32767), I16, False),
        ((0, 65535), I16, True),
        ((-2048, 2048), F16, False),
        ((-32768, 32767), F16, True),
    ],
)
def test_integers_that_a_format_holds_exactly_are_no_point(ends, fmt, is_point):
    placement = Placement((fmt, F32, F32), ((fmt,), (F32, F32)), (F32,))
    assert bool(points_of(network(integer_input=ends), placement, (fmt,))) is is_point
