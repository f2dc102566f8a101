"""``propose``: what the sampler of ``optuna`` tries next; see search/work/optuna_gateway.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search.canonical import Json
from search.encoding import decoded
from search.tasks import Kind
from search.work.item_runner import ItemRunner, Raw
from search.work.optuna_gateway import Dimension, Sampler, Told, Values, propose

KIND = Kind(name="propose", label="choose what to try", doing="choosing what to try", phase="search")


@dataclass(frozen=True)
class Proposal:
    """The parameters of one ask."""

    values: Values


@dataclass(frozen=True, kw_only=True)
class Propose:
    """Ask the sampler.

    Attributes:
        optuna: Version of the library.
        sampler: Which sampler.
        seed: Of the study.
        space: Parameters.
        history: What the first asks led to, in their order.
        number: Of the ask, from 0.
        worst: A cost that no assignment exceeds.
    """

    kind: ClassVar[Kind] = KIND
    optuna: str
    sampler: Sampler
    seed: int
    space: tuple[Dimension, ...]
    history: tuple[Told, ...]
    number: int
    worst: float

    def read(self, data: Json) -> Proposal:
        """Read a stored result."""
        return decoded(Proposal, data)

    def run(self, runner: ItemRunner | None = None) -> Raw[Proposal]:
        """Return the parameters of one ask; no model is needed."""
        del runner
        values = propose(
            self.sampler, seed=self.seed, space=self.space, history=self.history, number=self.number, worst=self.worst
        )
        return Raw(Proposal(values))
