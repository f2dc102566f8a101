"""What could not be delivered, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A file, or a step of the delivery, of which nothing came.

    Attributes:
        what: Path below the output folder, or the kind of work.
        why: One sentence.
        is_fault: Whether it is a fault of this program, not something the model or the tool does not allow.
    """

    what: str
    why: str
    is_fault: bool
