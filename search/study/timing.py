"""The times of a finished study as they are written."""

from __future__ import annotations

from search.records.timing import TimingRecord
from search.study.plan import Finished, best_of


def timing_of(finished: Finished) -> TimingRecord | None:
    """Return what the clock said, with whether it changed the answer; None where nothing was timed."""
    session, finalists = finished.session, finished.finalists
    if session is None or finalists is None:
        return None
    return finalists.record(session.trials, finished.chosen, best_of(session))
