"""Interim looks at an evaluation: what may stop it after a part of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from search.metrics.part import Part


class Look(Enum):
    """What to do after the samples seen so far."""

    GO_ON = "go on"
    REJECT = "reject"
    ACCEPT = "accept for now"


@dataclass(frozen=True)
class Decision:
    """What a look leads to.

    Attributes:
        look: Whether the evaluation goes on.
        ruled_out: Id of the goal that ended it with a no, or None.
    """

    look: Look
    ruled_out: str | None = None


class StoppingRule(Protocol):
    """Decides at every look; a yes is never final, a no ends the evaluation."""

    def look(self, parts: Mapping[str, Sequence[Part]], errors: Mapping[str, Mapping[str, float]]) -> Decision:
        """Decide after the samples of ``parts``.

        Args:
            parts: Goal to results so far.
            errors: Value to error name to mean error.
        """
