"""The end of a round that several workers compute: its items have results. How its tasks stand does not count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from workers.study_repository import StudyRepository
from workers.wakeup import WakeUps

POLL_S = 1.0
"""How often to look if no wake-up arrives."""
MANY = 4
PAUSE_S, MOST_PAUSE_S = 0.005, 0.1
"""Before the next poll, for every task beyond ``MANY`` that was open at the last: a wake-up is the end of one task."""


async def settle(
    repository: StudyRepository,
    wake_ups: WakeUps,
    study_id: str,
    nos: Sequence[int],
    is_over: Callable[[], Awaitable[bool]],
) -> None:
    """Wait until all items of the tasks ``nos`` have results, or the study wants none any more.

    Args:
        repository: The rows.
        wake_ups: Sent for the study whenever one of its tasks has ended.
        study_id: The study.
        nos: Its tasks.
        is_over: Whether nobody works on the tasks any more, with results or without.
    """
    tasks = await asyncio.to_thread(repository.items_of, study_id, nos)
    left = frozenset[str]().union(*tasks)
    with wake_ups.awaited(study_id) as news:
        while left := await asyncio.to_thread(repository.left_of, study_id, nos, left):
            try:
                await asyncio.wait_for(news.wait(), POLL_S)
            except TimeoutError:
                if await is_over():
                    return
            n_open = sum(not items.isdisjoint(left) for items in tasks)
            await asyncio.sleep(min(PAUSE_S * max(0, n_open - MANY), MOST_PAUSE_S))
            news.clear()
