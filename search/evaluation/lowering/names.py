"""Names of a program's values: those of the prepared graph where they are free, else close to them."""

from __future__ import annotations

from collections.abc import Iterable


class Names:
    """Gives out names, each once.

    Args:
        reserved: Names of the prepared graph; only ``own`` gives these out.
        taken: Those among them that hold something already (model inputs, constants).
    """

    def __init__(self, reserved: Iterable[str], taken: Iterable[str]) -> None:
        self._reserved = frozenset(reserved)
        self._taken = set(taken)

    def own(self, name: str, other: str) -> str:
        """``name`` itself for the first who asks, then something like ``other``."""
        if name in self._taken:
            return self.fresh(other)
        self._taken.add(name)
        return name

    def fresh(self, wanted: str) -> str:
        """``wanted``, or what comes close to it, so that nothing else has it."""
        while wanted in self._taken or wanted in self._reserved:
            wanted += "#"
        self._taken.add(wanted)
        return wanted
