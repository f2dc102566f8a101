"""Several plans side by side: their items are asked for together, so that they can run at the same time.

How many belong together is part of the job spec (``search.batch``), never how many workers there are, so that the same
study has the same trials everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.evaluation.configuration import Configuration
from search.strategies.shared.evaluation_run import run_configuration
from search.strategies.shared.session import TrialSession
from search.tasks import Answers, AnyItem, Plan, T


def side_by_side(plans: Sequence[Plan[T]]) -> Plan[tuple[T, ...]]:
    """Run plans in step; return what each returned, in order."""
    returned: dict[int, T] = {}
    wanted: dict[int, tuple[AnyItem, ...]] = {}

    def step(i: int, answers: Answers | None) -> None:
        try:
            wanted[i] = next(plans[i]) if answers is None else plans[i].send(answers)
        except StopIteration as end:
            wanted.pop(i, None)
            returned[i] = end.value

    for i in range(len(plans)):
        step(i, None)
    while wanted:
        items = tuple(dict.fromkeys(item for found in wanted.values() for item in found))
        answers = yield items
        for i in list(wanted):
            step(i, answers)
    return tuple(returned[i] for i in range(len(plans)))


def ahead(session: TrialSession, configurations: Sequence[Configuration]) -> Plan[None]:
    """Have several configurations evaluated at the same time, before the session is asked for them one by one.

    The session then finds every result there, and its trials are numbered in the order they were wanted.
    """
    known = {trial.configuration.digest for trial in session.trials}
    fresh = {one.digest: one for one in configurations if one.digest not in known}
    if len(fresh) < 2:
        return
    setting = session.setting
    yield from side_by_side(
        [run_configuration(setting, one, evaluator=setting.evaluator, full=False) for one in fresh.values()]
    )
