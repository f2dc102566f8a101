"""What reading the model turned up: findings for the user, and what became of nodes that are no longer there."""

from __future__ import annotations

from dataclasses import dataclass, field

FOLDED = "folded"  #: computed into a constant, or into the weights of another node
PASS_THROUGH = "pass_through"  # noqa: S105  #: had no effect on its input, so its readers read that input now


@dataclass(frozen=True, slots=True)
class Note:
    """One finding: a stable code to look up, a sentence to read, and the user's nodes it is about."""

    code: str
    text: str
    nodes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a node of the user's graph.

    Attributes:
        role: ``FOLDED`` or ``PASS_THROUGH``.
        into: Name of the node it lives on in, or None.
        why: One sentence for the assignment table.
    """

    role: str
    into: str | None
    why: str


@dataclass
class Changes:
    """What one pass did. Empty means that it changed nothing.

    Attributes:
        fates: Removed nodes by name.
        renamed: Values by their old name: the value that carries the same numbers now.
        notes: Findings.
    """

    fates: dict[str, Fate] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def add(self, other: Changes) -> None:
        """Take over what a later pass did."""
        self.fates.update(other.fates)
        self.renamed.update(other.renamed)
        self.notes.extend(other.notes)

    def value_now(self, name: str) -> str:
        """Follow a value's name through every pass to the one it has now."""
        seen = {name}
        while (later := self.renamed.get(name)) is not None and later not in seen:
            name = later
            seen.add(name)
        return name

    def fate_now(self, name: str) -> Fate:
        """Fate of a removed node whose ``into`` is followed through every pass to a node that is still there."""
        fate = self.fates[name]
        into, seen = fate.into, {name}
        while into in self.fates and into not in seen:
            seen.add(into)
            into = self.fates[into].into
        return Fate(fate.role, into, fate.why)

    @property
    def modified(self) -> bool:
        """Whether the graph is another one than before."""
        return bool(self.fates or self.renamed)
