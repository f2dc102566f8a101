"""Runs a program in integers, with the surface of ``search.runtime.session.Session``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.arrays import Array
from search.runtime.session import Level, Session
from search.simulator.fast.build import build
from search.simulator.program import Overflow, Program


class IntegerSession:
    """One program, loaded. It remembers the accumulators that left their width, until ``clear``."""

    def __init__(self, program: Program, *, threads: int = 1) -> None:
        """Build and load.

        Raises:
            UnsupportedModelError: If the runtime refuses a float operator of the program.
            ValueError: If a sum of the program is too long to be exact.
        """
        model = build(program)
        self._watched = model.watched
        self._largest: dict[str, int] = {}
        self._session = Session(model.proto, level=Level.INTEGER, threads=threads)
        self.inputs: tuple[str, ...] = self._session.inputs
        self.outputs: tuple[str, ...] = tuple(info.name for info in program.outputs)

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Run once and return the named outputs (all by default).

        Raises:
            UnsupportedModelError: If the runtime refuses the inputs or an operator fails.
            ValueError: If an input is missing.
        """
        names = tuple(outputs) if outputs is not None else self.outputs
        if not names:
            return {}
        watched = tuple(dict.fromkeys(one.output for one in self._watched))
        values = self._session.run(feeds, (*names, *watched))
        for one in self._watched:
            self._largest[one.node] = max(self._largest.get(one.node, 0), int(values[one.output]))
        return {name: values[name] for name in names}

    @property
    def overflows(self) -> tuple[Overflow, ...]:
        """What left its width in the runs so far: the largest sum of each node, in the order of the program."""
        bits = {one.node: one.bits for one in self._watched}
        return tuple(
            Overflow(node=node, largest=self._largest[node], bits=width)
            for node, width in bits.items()
            if self._largest.get(node, 0) >= 1 << (width - 1)
        )

    def clear(self) -> None:
        """Forget the overflows."""
        self._largest.clear()
