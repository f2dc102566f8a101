"""The exported file, read back from its bytes, on ranges of the evaluation samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.evaluation.configuration import Configuration
from search.shares import bundled
from search.strategies.shared.setting import Setting
from search.tasks import Item, ItemResult, Plan

Range = tuple[int, int, str | None]
"""Start, stop, and the digest its outputs must have; None where nothing was measured before."""
Shards = Sequence[Sequence[Range]]


def recheck(setting: Setting, configuration: Configuration, ranges: Sequence[Range]) -> Plan[ItemResult]:
    """Run the exported file on ``ranges``; results of several items come as one."""
    params = recheck_params(setting, configuration)
    items = [
        Item(
            "recheck",
            setting.context,
            {**params, "ranges": [list(one) for one in shard]},
            work=setting.macs * (shard[-1][1] - shard[0][0]),
        )
        for shard in packed(ranges, setting.macs, setting.task_macs)
    ]
    return (yield from together(items))


def recheck_params(setting: Setting, configuration: Configuration) -> dict[str, Any]:
    """Parameters shared by everything that runs the exported file."""
    made = setting.numerics(configuration, "fake_quant")
    return {**setting.evaluation, **made, "configuration": configuration.to_json(), "errors_of": []}


def packed(ranges: Sequence[Range], macs: float, task_macs: float) -> Shards:
    """Put consecutive ranges together into shares of about one size."""
    return bundled(ranges, [macs * (one[1] - one[0]) for one in ranges], task_macs)


def together(items: Sequence[Item]) -> Plan[ItemResult]:
    """Several items that measure parts of the same, as one result."""
    found: Mapping[str, ItemResult] = yield tuple(items)
    results = [found[item.digest] for item in items]
    if len(results) == 1:
        return results[0]
    parts: dict[str, list[Any]] = {}
    digests: list[str] = []
    for result in results:
        digests.extend(result.data.get("digests", ()))
        for goal, part in result.data["parts"].items():
            parts.setdefault(goal, []).extend(part if isinstance(part, list) else [part])
    seconds = sum(result.seconds for result in results)
    data = {**results[0].data, "parts": parts, **({"digests": digests} if digests else {})}
    return replace(results[0], data=data, seconds=seconds)
