"""An assignment: one precision per group, immutable, in group order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from search.canonical import digest_json
from search.precision import Precision


@dataclass(frozen=True)
class Assignment:
    """An immutable choice of one precision per group; position ``i`` belongs to group ``i`` of the network."""

    precisions: tuple[Precision, ...]

    def with_(self, changes: Mapping[int, Precision]) -> Assignment:
        """Return a copy in which the groups of ``changes`` have another precision.

        Raises:
            IndexError: If a group index does not exist.
        """
        values = list(self.precisions)
        for group, precision in changes.items():
            if not 0 <= group < len(values):
                raise IndexError(f"Group {group} does not exist; the network has {len(values)}.")
            values[group] = precision
        return Assignment(tuple(values))

    def __getitem__(self, group: int) -> Precision:
        return self.precisions[group]

    def __len__(self) -> int:
        return len(self.precisions)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the precisions in group order."""
        return digest_json(self.to_json())

    def to_json(self) -> list[str]:
        """Return the precisions as strings, in group order."""
        return [precision.value for precision in self.precisions]

    @staticmethod
    def from_json(values: Iterable[str]) -> Assignment:
        """Read what ``to_json`` wrote."""
        return Assignment(tuple(Precision(value) for value in values))
