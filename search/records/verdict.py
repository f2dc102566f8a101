"""How a trial and a study ended: the words of files and of the interface, and the ones people read."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

Tone = Literal["good", "fair", "bad", "open"]
"""What chooses colour and symbol: reached, reached but not surely, missed, not known."""


class Verdict(StrEnum):
    """How an evaluation ended. Reading any other word is a ``ValueError``."""

    MET = "met"
    NOT_MET = "not_met"
    PROMISING = "promising"  #: stopped early with a provisional yes; never delivered as it is
    REJECTED = "rejected"  #: the samples seen rule the goal out; no value on the full set
    INFEASIBLE = "fail"  #: the chip cannot run it

    @property
    def is_complete(self) -> bool:
        """Whether every evaluation sample was run."""
        return self in (Verdict.MET, Verdict.NOT_MET)

    @property
    def label(self) -> str:
        """The word for people."""
        return _VERDICTS[self][0]

    @property
    def tone(self) -> Tone:
        """What chooses its colour."""
        return _VERDICTS[self][1]

    @property
    def sign(self) -> str:
        """One character that says it without colour."""
        return _VERDICTS[self][2]


class Outcome(StrEnum):
    """How a study ended."""

    MET = "met"
    NOT_MET = "not_met"
    NOT_EVALUATED = "not_evaluated"

    @property
    def label(self) -> str:
        """The words for people."""
        return _OUTCOMES[self][0]

    @property
    def tone(self) -> Tone:
        """What chooses its colour."""
        return _OUTCOMES[self][1]

    @property
    def sign(self) -> str:
        """One character that says it without colour."""
        return _OUTCOMES[self][2]


_VERDICTS: dict[Verdict, tuple[str, Tone, str]] = {
    Verdict.MET: ("met", "good", "✓"),
    Verdict.NOT_MET: ("not met", "bad", "✕"),
    Verdict.PROMISING: ("met so far", "good", "○"),
    Verdict.REJECTED: ("rejected early", "open", "▽"),
    Verdict.INFEASIBLE: ("cannot run", "bad", "◇"),
}
_OUTCOMES: dict[Outcome, tuple[str, Tone, str]] = {
    Outcome.MET: ("goal met", "good", "✓"),
    Outcome.NOT_MET: ("goal not met", "bad", "✕"),
    Outcome.NOT_EVALUATED: ("not evaluated", "open", "?"),
}
