"""Where every tensor is stored, in which format each reader takes it, and the format of every constant.

``stored[t]`` is the highest format the writer can produce that some reader asks for or is below it: ``max(f in
caps(writer) if f <= max(asks))``, else the lowest of ``caps``. A model input can be in any format. A model output
asks for fp32 unless its precision says otherwise. A reader whose ask differs from what is stored gets one cast; it
never gains precision that the writer did not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from search.assignment import Assignment
from search.canonical import digest_json
from search.graph.network import Network
from search.precision import Format
from search.targets.rulebook import Rulebook
from search.targets.target import Target


class Cast(NamedTuple):
    """One reader that takes a tensor in another format than the one stored."""

    tensor: int
    group: int
    slot: int
    stored: Format
    read: Format


@dataclass(frozen=True)
class Placement:
    """Formats of everything under one assignment.

    Attributes:
        stored: Per tensor; fp32 is not quantized.
        read: Per group and slot.
        constants: Per constant.
    """

    stored: tuple[Format, ...]
    read: tuple[tuple[Format, ...], ...]
    constants: tuple[Format, ...]

    @cached_property
    def digest(self) -> str:
        """Identity of the formats."""
        return digest_json(
            {
                "stored": [fmt.value for fmt in self.stored],
                "read": [[fmt.value for fmt in formats] for formats in self.read],
                "constants": [fmt.value for fmt in self.constants],
            }
        )

    def casts(self, network: Network) -> Iterator[Cast]:
        """Yield every cast between a tensor and a reader of ``network``, in group order."""
        for g, group in enumerate(network.groups):
            for s, (slot, fmt) in enumerate(zip(group.inputs, self.read[g], strict=True)):
                if fmt is not self.stored[slot.tensor]:
                    yield Cast(slot.tensor, g, s, self.stored[slot.tensor], fmt)


def place(
    network: Network, target: Target, effective: Assignment, *, output_precision: Mapping[str, str] | None = None
) -> Placement:
    """Return the placement of a legal assignment.

    Args:
        network: Groups and tensors.
        target: The chip.
        effective: One legal precision per group.
        output_precision: Model output to ``high | int8 | int16``; ``high`` where not given.

    Raises:
        ValueError: If a group has a precision it cannot run at.
    """
    return place_by(Rulebook(network, target, output_precision), effective)


def place_by(book: Rulebook, effective: Assignment) -> Placement:
    """As ``place``, with a rulebook made before: for many assignments."""
    network = book.network
    if len(effective) != len(network.groups):
        raise ValueError(f"{len(effective)} precisions for {len(network.groups)} groups.")
    for g, (precision, rules) in enumerate(zip(effective.precisions, book.rules, strict=True)):
        if precision not in rules.precisions:
            raise ValueError(f"Group {network.groups[g].name!r} cannot run at {precision.value}; legalise first.")
    read = tuple(
        tuple(book.read(g, s, effective[g]) for s in range(len(group.inputs))) for g, group in enumerate(network.groups)
    )
    stored = []
    for t, tensor in enumerate(network.tensors):
        asks = (*(read[g][s] for g, s in network.readers[t]), *book.output_asks(t))
        stored.append(stored_format(_caps(book, tensor.writer, effective), asks))
    return Placement(
        stored=tuple(stored),
        read=read,
        constants=tuple(book.constant(constant, effective[constant.group]) for constant in network.constants),
    )


def stored_format(caps: Sequence[Format] | None, asks: Sequence[Format]) -> Format:
    """Return the format of a tensor.

    Args:
        caps: What its writer can produce, ascending; None for a model input, which can be anything.
        asks: What readers and model outputs want. Without any, the lowest of ``caps``; fp32 for a model input.
    """
    if caps is None:
        return max(asks, default=Format.FP32)
    wanted = max(asks, default=caps[0])
    return max((fmt for fmt in caps if fmt <= wanted), default=caps[0])


def _caps(book: Rulebook, writer: int | None, effective: Assignment) -> tuple[Format, ...] | None:
    return None if writer is None else book.caps(writer, effective[writer])
