"""Items and tasks: the units of work of a study, as values with an identity.

An *item* is the unit of "never computed again": its digest covers everything its result depends on.
A *task* is a bundle of items of one kind that is worth running together; a worker runs one task at a time.
A *result* is small JSON plus the digests of the arrays or files it left in the blob store.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from search.canonical import digest_json


@dataclass(frozen=True, eq=False)
class Item:
    """One unit of work; items are equal when their digests are.

    Attributes:
        kind: ``check | collect | calibrate | compare | float | baseline | evaluate | sensitivity | propose | export``.
        context: Digest of what all items of the study share (model, data, target, versions, threads, ...).
        params: What makes this item different from others of its kind; JSON values only.
        work: Estimated multiply-accumulates, for grouping into tasks; not part of the identity.
    """

    kind: str
    context: str
    params: Mapping[str, Any]
    work: float = 0.0

    @cached_property
    def digest(self) -> str:
        """Identity and cache key."""
        return digest_json({"kind": self.kind, "context": self.context, "params": self.params})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True)
class ItemResult:
    """What one item gave.

    Attributes:
        digest: The item's digest.
        kind: The item's kind.
        data: JSON value, no NaN.
        blobs: Name to blob digest (``sha256`` hex).
        seconds: Time it took; measured, so never part of an identity.
        reused: Whether it was taken over from another run; such results cost nothing here.
    """

    digest: str
    kind: str
    data: Mapping[str, Any]
    blobs: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False


@dataclass(frozen=True)
class Task:
    """Items of one kind to run in one go."""

    items: tuple[Item, ...]

    @property
    def kind(self) -> str:
        """Kind of all its items."""
        return self.items[0].kind

    @cached_property
    def digest(self) -> str:
        """Identity: the digests of its items in order."""
        return digest_json([item.digest for item in self.items])


_T = TypeVar("_T")
Plan = Generator[tuple[Item, ...], Mapping[str, ItemResult], _T]
"""A study as straight-line code: it yields the items it needs, is sent their results by digest, and returns a value."""
