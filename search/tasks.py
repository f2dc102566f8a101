"""Items and tasks: the units of work of a study, as values with an identity.

An *item* is the unit of "never computed again": the parameters of one kind of work, a frozen dataclass, in a context.
Its digest is made from every field of both. A *task* is a bundle of items of one kind that is worth running together; a
worker runs one task at a time. A *result* is small JSON plus the digests of the arrays or files it left in the blob
store; a plan reads it as the *answer* to its item: the result dataclass of the kind.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar

from search.canonical import Json, digest_json
from search.encoding import decoded, encoded
from search.records.missing import Missing

Phase = Literal["validate", "baseline", "sensitivity", "search", "export"]
"""Where in a study a kind of work belongs, for whoever watches it."""
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
T = TypeVar("T")


FAILED = "failed"
"""Key of a stored result of which nothing came, where its kind delivers."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of work, as the people and drivers that handle it see it.

    Attributes:
        name: Part of the identity of its items.
        label: What a task of it does, in words: ``derive ranges``.
        doing: What is going on while it runs: ``calibrating``.
        phase: Part of the study it belongs to.
        delivers: Whether it runs when the search has its answer: then its failure is stored, and ends nothing.
        is_search: Whether its seconds are search time; not where it only writes what was found.
    """

    name: str
    label: str
    doing: str
    phase: Phase
    delivers: bool = False
    is_search: bool = True


class Work(Protocol[R_co]):
    """Parameters of one kind of work: a frozen dataclass that holds everything its result depends on."""

    kind: ClassVar[Kind]

    def read(self, data: Json) -> R_co:
        """Return the result that ``data`` is the JSON of."""
        ...


@dataclass(frozen=True, eq=False)
class Item(Generic[R_co]):
    """One unit of work; items are equal when their digests are.

    Attributes:
        work: What is to be computed.
        context: Digest of what all items of the study share (model, versions, threads, ...).
        macs: Estimated multiply-accumulates, for grouping into tasks; not part of the identity.
    """

    work: Work[R_co]
    context: str
    macs: float = 0.0

    @property
    def kind(self) -> Kind:
        """Its kind of work."""
        return self.work.kind

    def to_json(self) -> dict[str, Json]:
        """Return everything but ``macs`` as a JSON value."""
        return {"kind": self.kind.name, "context": self.context, "work": encoded(self.work)}

    @cached_property
    def digest(self) -> str:
        """Identity and cache key."""
        return digest_json(self.to_json())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


AnyItem: TypeAlias = Item[object]
"""An item whatever its answer is."""


@dataclass(frozen=True)
class ItemResult:
    """What one item gave, as it is stored.

    Attributes:
        digest: The item's digest.
        kind: The item's kind.
        data: JSON object, no NaN.
        blobs: Name to blob digest (``sha256`` hex).
        seconds: Time it took; measured, so never part of an identity.
        reused: Whether it was taken over from another run; such results cost nothing here.
    """

    digest: str
    kind: str
    data: Mapping[str, Json]
    blobs: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False


@dataclass(frozen=True)
class Answer(Generic[R_co]):
    """What one item gave, as a plan reads it.

    Attributes:
        value: The result.
        blobs: Name to blob digest.
        seconds: Time it took.
        reused: Whether it was taken over from another run.
    """

    value: R_co
    blobs: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False


class Answers:
    """The answers to items a plan has asked for.

    Args:
        results: Stored results by item digest, those of the items among them.
    """

    def __init__(self, results: Mapping[str, ItemResult]) -> None:
        self._results = results

    def __getitem__(self, item: Item[R]) -> Answer[R]:
        stored = self._results[item.digest]
        return Answer(item.work.read(stored.data), stored.blobs, stored.seconds, stored.reused)

    def attempted(self, item: Item[R]) -> Answer[R] | Missing:
        """Return the answer to an item that delivers, or what is missing because it failed."""
        failed = self._results[item.digest].data.get(FAILED)
        return self[item] if failed is None else decoded(Missing, failed)


@dataclass(frozen=True)
class Task:
    """Items of one kind to run in one go."""

    items: tuple[AnyItem, ...]

    @property
    def kind(self) -> Kind:
        """Kind of all its items."""
        return self.items[0].kind

    @cached_property
    def digest(self) -> str:
        """Identity: the digests of its items in order."""
        return digest_json([item.digest for item in self.items])


Plan = Generator[tuple[AnyItem, ...], Answers, T]
"""A study as straight-line code: it yields the items it needs, is sent their answers, and returns a value."""
