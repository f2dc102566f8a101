"""What a submission wishes and what the operator allows are two values; the smaller one holds.

The spec keeps the wish. What holds is stored beside it when the study is submitted, so that a later change of a setting
never changes a study that runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from search.spec.job import JobSpec
from service.store.settings import Settings

LOWEST_PRIORITY = -1000


@dataclass(frozen=True, kw_only=True)
class Granted:
    """What holds for a study.

    Attributes:
        priority: Within its tenant; larger goes first.
        threads: Inside operators.
        timeout_s: Wall time from its start to its failure.
        max_seconds: Search time after which the best found is delivered; None sets no limit.
    """

    priority: int
    threads: int
    timeout_s: float
    max_seconds: float | None


def granted(spec: JobSpec, settings: Settings) -> Granted:
    """Return what the operator grants of the wishes in ``spec``."""
    wish = spec.search.max_seconds
    limits = [one for one in (wish, settings.max_search_s) if one is not None]
    return Granted(
        priority=granted_priority(spec.run.priority, settings),
        threads=min(spec.run.threads, settings.max_threads),
        timeout_s=min(spec.run.timeout_s or settings.study_wall_s, settings.study_wall_s),
        max_seconds=min(limits, default=None),
    )


def granted_priority(wish: int, settings: Settings) -> int:
    """Return the priority that holds for a study whose owner wishes ``wish``."""
    return max(LOWEST_PRIORITY, min(wish, settings.max_priority))
