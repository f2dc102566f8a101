"""``propose``: what the sampler of ``optuna`` tries next; see search/work/optuna_gateway.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.work.item_runner import ItemRunner, Raw
from search.work.optuna_gateway import Dimension, Told, propose


def run_propose(_: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Return the parameters of one ask as ``values``."""
    return Raw({"values": proposal(params)})


def proposal(params: Mapping[str, Any]) -> dict[str, Any]:
    """Work an item of kind ``propose`` out."""
    return propose(
        params["sampler"],
        seed=params["seed"],
        space=[Dimension.from_json(one) for one in params["space"]],
        history=[Told.from_json(one) for one in params["history"]],
        number=params["number"],
        worst=params["worst"],
    )
