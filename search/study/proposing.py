"""``propose``: what the sampler of ``optuna`` tries next; see search/strategies/optuna_gateway.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.strategies.optuna_search import proposal
from search.study.bench import Bench, Raw


def run_propose(_: Bench, params: Mapping[str, Any]) -> Raw:
    """Return the parameters of one ask as ``values``."""
    return Raw({"values": proposal(params)})
