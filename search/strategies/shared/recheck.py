"""The exported file, read back from its bytes, on ranges of the evaluation samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search.evaluation.configuration import Configuration
from search.metrics.part import Part
from search.records.missing import Missing
from search.shares import bundled
from search.strategies.shared.setting import Setting
from search.tasks import Answer, Item, Plan
from search.work.kinds.recheck import Range, Recheck, Rechecked

Shards = Sequence[Sequence[Range]]


def recheck(
    setting: Setting, configuration: Configuration, ranges: Sequence[Range]
) -> Plan[Answer[Rechecked] | Missing]:
    """Run the exported file on ``ranges``; answers of several items come as one, unless one of them failed."""
    numerics = setting.numerics(configuration, "fake_quant")
    items = [
        Item(
            Recheck(evaluation=setting.evaluation, numerics=numerics, configuration=configuration, ranges=tuple(shard)),
            setting.context,
            macs=setting.macs * (shard[-1][1] - shard[0][0]),
        )
        for shard in packed(ranges, setting.macs, setting.task_macs)
    ]
    answers = yield tuple(items)
    found = []
    for item in items:
        answer = answers.attempted(item)
        if isinstance(answer, Missing):
            return answer
        found.append(answer)
    digests = tuple(digest for answer in found for digest in answer.value.digests)
    parts = joined([answer.value.parts for answer in found])
    return replace(found[0], value=Rechecked(parts, digests), seconds=sum(answer.seconds for answer in found))


def packed(ranges: Sequence[Range], macs: float, task_macs: float) -> Shards:
    """Put consecutive ranges together into shares of about one size."""
    return bundled(ranges, [macs * (one[1] - one[0]) for one in ranges], task_macs)


def joined(parts: Sequence[Mapping[str, tuple[Part, ...]]]) -> dict[str, tuple[Part, ...]]:
    """Goal to its results of all shards, in their order."""
    return {goal: tuple(part for shard in parts for part in shard[goal]) for goal in parts[0]}
