"""Assignments worth measuring: uniform ones, then random mixes with islands of equal precision.

Each mix draws a share per format and how likely a group keeps the format of the one before it, so that both scattered
and contiguous assignments come up; each group then takes its legal precision of that format, with the narrowest
weights, or its cheapest.
"""

from __future__ import annotations

import numpy as np

from search.assignment import Assignment
from search.precision import Format, Precision
from search.targets.rulebook import Rulebook

STAY = (0.0, 0.6, 0.85)
ATTEMPTS = 50


def mixes(book: Rulebook, n: int, *, seed: int) -> tuple[Assignment, ...]:
    """Return up to ``n`` different legal assignments, the uniform ones first.

    Args:
        book: Rules laid over the network.
        n: How many; small networks may have fewer.
        seed: Of the random ones.
    """
    choices = [allowed.choices for allowed in book.allowed]
    formats = [fmt for fmt in Format if any(p.activation is fmt for legal in choices for p in legal)]
    found = dict.fromkeys(tuple(_at(legal, fmt) for legal in choices) for fmt in formats)
    rng = np.random.default_rng(seed)
    for _ in range(ATTEMPTS * n):
        if len(found) >= n:
            break
        found[_mix(choices, formats, rng)] = None
    return tuple(Assignment(row) for row in list(found)[:n])


def _mix(
    choices: list[tuple[Precision, ...]], formats: list[Format], rng: np.random.Generator
) -> tuple[Precision, ...]:
    shares = rng.dirichlet(np.ones(len(formats)))
    stay = float(rng.choice(STAY))
    fmt = formats[0]
    row = []
    for position, legal in enumerate(choices):
        if position == 0 or rng.random() >= stay:
            fmt = formats[int(rng.choice(len(formats), p=shares))]
        row.append(_at(legal, fmt))
    return tuple(row)


def _at(legal: tuple[Precision, ...], fmt: Format) -> Precision:
    fitting = [precision for precision in legal if precision.activation is fmt]
    return min(fitting, key=lambda precision: precision.weight.rank, default=legal[0])
