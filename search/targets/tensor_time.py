"""Time between groups: casts to readers, quantized model inputs, dequantized model outputs.

1. A reader whose format differs from the stored one: one cast.
2. A model input that is stored in another format than fp32: one cast from fp32, unless it already holds integers.
3. A model output wants fp32 (or the precision the spec gives it): one cast from what is stored. Where an integer gemm
   stores fp32, its 32-bit accumulator is dequantized.
4. An integer gemm that stores another format than it reads may lose its integer kernel (``unfused_rate``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from search.precision import Format, Precision
from search.targets.rulebook import Rulebook
from search.targets.work import NOTHING, Term, cast_time, dequantize_time, unfused_time


@dataclass(frozen=True, slots=True)
class TensorTerm:
    """One addend; ``reader`` is None at the model's ends and for a lost kernel, ``stored`` None for an accumulator."""

    tensor: int
    reader: int | None
    stored: Format | None
    goal: Format
    time: Term


def tensor_terms(
    book: Rulebook,
    tensor: int,
    *,
    writer: Precision | None,
    stored: Format,
    reads: tuple[tuple[int, Format], ...],
) -> Iterator[TensorTerm]:
    """Yield what is paid for one tensor.

    Args:
        book: Rules, network and coefficients.
        tensor: Index of the tensor.
        writer: Precision of its writer, None for a model input.
        stored: Its format.
        reads: Group and format of every reading slot.
    """
    cost, values = book.target.cost, book.network.tensors[tensor]
    if writer is None and stored is not Format.FP32 and values.integer_input is None:
        yield TensorTerm(tensor, None, Format.FP32, stored, cast_time(cost, values.elements, Format.FP32, stored))
    for group, fmt in reads:
        if fmt is not stored:
            yield TensorTerm(tensor, group, stored, fmt, cast_time(cost, values.elements, stored, fmt))
    for goal in book.output_asks(tensor):
        if goal is not stored:
            yield TensorTerm(tensor, None, stored, goal, cast_time(cost, values.elements, stored, goal))
        elif goal is Format.FP32 and writer is not None and writer.is_pair:
            yield TensorTerm(tensor, None, None, goal, dequantize_time(cost, values.elements))
    if writer is not None and writer.is_pair and stored is not writer.activation:
        lost = _lost_kernel(book, tensor, writer)
        if lost.amount:
            yield TensorTerm(tensor, None, writer.activation, stored, lost)


def _lost_kernel(book: Rulebook, tensor: int, precision: Precision) -> Term:
    """Paid once per group, with its first output."""
    group = book.network.tensors[tensor].writer
    if group is None or book.network.groups[group].outputs[0] != tensor:
        return NOTHING
    return unfused_time(book, group, precision)
