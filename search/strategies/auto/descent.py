"""From a base that misses the goal to a cheap assignment that meets it, guided by the estimator.

1. Every point of the base is measured alone: the estimator.
2. The cheapest assignments under several noise limits are worked out (lp_relaxation.py). Each has a cost and a believed
   chance to meet all goals; the one with the largest ``chance * (cost of the best so far - cost)`` is evaluated.
3. Its noise and its values correct the estimator; again from 2 until nothing is worth an evaluation.
4. Sweep: every cheaper change of one group is tried, and every cheaper candidate of the ladder, unless the surrogate
   gives that less than a chance of ``excluded``.

The bounds (all_low, all_high, and the cheapest assignment there is) are candidates like all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np

from search.assignment import Assignment
from search.sensitivity.table import Table
from search.strategies.auto.ladder_candidates import ladder_candidates
from search.strategies.auto.promoted_noise import promoted_noise
from search.strategies.auto.surrogate import Candidate, Start, Surrogate, early_stopping_of
from search.strategies.auto.tuning import DEFAULT, AutoTuning
from search.strategies.shared.attenuation import Indices, PromotedNoise
from search.strategies.shared.bounds import bounds_of
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.tasks import Plan


@dataclass
class Descent:
    """One descent under way.

    Attributes:
        session: The session.
        start: Where it starts.
        tuning: Every number that is not given.
        minimal: Whether the sweep came to its end.
    """

    session: TrialSession
    start: Start
    tuning: AutoTuning = DEFAULT
    minimal: bool = False
    _tables: Sequence[Table] = ()
    _kept: PromotedNoise | None = None
    _n_ruled_out: int = -1
    _run_before: int = 0
    _at: int = 0
    _step: int = 1
    _all: Indices | None = None
    _safe: float = np.inf
    _climbed: Sequence[Assignment] = ()
    _ladder: Sequence[Assignment] = ()
    _pool: dict[str, Assignment] = field(default_factory=dict)

    def run(self) -> Plan[Trial | None]:
        """Return the cheapest trial that meets the goals; None if none is believed to."""
        self._at = self.tuning.descent.first_tightness
        base = self.start.base.n_run
        self._run_before = sum(trial.n_run for trial in self.session.trials) - base
        yield from self.prepare()
        return (yield from self.descend())

    def prepare(self) -> Plan[None]:
        """Measure the points and set up what is believed."""
        start = self.start
        self._tables = yield from self.session.tables(
            start.base, start.label, formats=start.formats, every=True, spared=False
        )
        if self._tables:
            self._kept = yield from promoted_noise(self.session, start.base, self._tables, self.tuning.noise)
            self._climbed = ladder_candidates(
                self.session, start.base.configuration.effective, self._tables, start.high, self.tuning.descent
            )
            self._set_up()

    @property
    def best(self) -> Trial | None:
        """The cheapest trial that meets every goal, for certain or as far as was seen."""
        good = [trial for trial in self._surrogate.tried.values() if trial.is_promising]
        return min(good, key=lambda trial: (trial.cost, trial.number)) if good else None

    def descend(self) -> Plan[Trial | None]:
        """Evaluate what is worth it, sweep, and run the winner on everything; again if it fails there."""
        while self._tables:
            for _ in range(self.tuning.descent.trials):
                candidate = self._next()
                if candidate is None or (self.best is not None and self._has_spent):
                    break
                yield from self._evaluate(candidate, "LP relaxation")
            if self.best is None:
                return None
            yield from self._sweep()
            best = yield from self.session.complete(self.best)
            if best.is_met:
                return best
            self.minimal = False
            self._take_in(best)
        return None

    def _set_up(self) -> None:
        """Everything that is derived from the choices: at the start, and whenever one of them has been ruled out.

        What the tables say and every trial make the belief; what can no longer be chosen leaves the candidates.
        """
        self._n_ruled_out = len(self.session.infeasible.found)
        self._surrogate = Surrogate(self.session, self.start, self._tables, self._kept or {}, self.tuning)
        self.session.stopping = early_stopping_of(self.session.setting, self._surrogate.curves, self.tuning)
        for trial in self.session.trials:
            self._surrogate.learn(trial)
        options = self._surrogate.options
        self._all = options.all_rows(self.tuning.descent.enumerated)
        self._ladder = [a for a in self._climbed if options.holds(a)]
        known = (*self._ladder, *self._bounds, *self._pool.values())
        self._pool = {a.digest: a for a in known if options.holds(a)}

    @cached_property
    def _bounds(self) -> tuple[Assignment, ...]:
        """What is known without any table: both ends, and the cheapest of all."""
        return tuple(bound.assignment for bound in bounds_of(self.session))

    def _take_in(self, trial: Trial) -> None:
        """Believe a result; if it has ruled choices out, start over from what is left."""
        if self._n_ruled_out != len(self.session.infeasible.found):
            self._set_up()
        else:
            self._surrogate.learn(trial)

    def _next(self) -> Candidate | None:
        """What is most worth an evaluation."""
        fresh = (
            self._relaxed()
            if np.isfinite(self._safe)
            else [self._surrogate.cheapest(s) for s in self.tuning.descent.tightness[1::2]]
        )
        self._pool |= {one.digest: one for one in fresh if one is not None}
        below = np.inf if self.best is None else self.best.cost
        found = self._surrogate.judged(
            [*self._pool.values(), *self._neighbours(), *self._together(), *self._swapped()], below=below
        )
        if self.best is None:
            self._safe = self._safe_cost(found)
        if self._all is not None:
            found += self._surrogate.likeliest(self._all, ceiling=self._ceiling)
        if self.best is None:
            found = [one for one in found if one.chance >= self.tuning.descent.hopeless]
        best = max(found, key=self._gain, default=None)
        return None if best is None or (self.best is not None and self._gain(best) < self._worth) else best

    def _relaxed(self) -> list[Assignment | None]:
        """The cheapest assignments at the noise limit that was best so far and beside it, on either side in turns."""
        solved: dict[int, Assignment | None] = {}

        def gain(i: int) -> float:
            if i not in solved:
                solved[i] = self._surrogate.cheapest(self.tuning.descent.tightness[i])
            one = solved[i]
            found = [] if one is None else self._surrogate.judged([one])
            return max(0.0, self._gain(found[0])) if found else 0.0

        self._step = -self._step
        ahead = [i for i in (self._at, self._at + self._step) if 0 <= i < len(self.tuning.descent.tightness)]
        best = max(ahead, key=gain)
        self._at = best
        return list(solved.values())

    def _gain(self, one: Candidate) -> float:
        """What evaluating a candidate is expected to save."""
        return one.chance * (self._ceiling - one.cost)

    @property
    def _ceiling(self) -> float:
        """Cost of the best so far; where there is none, of all_high or of what is believed safe."""
        return self._safe if self.best is None else self.best.cost

    @property
    def _worth(self) -> float:
        """Expected saving below which no further evaluation is made."""
        return self.tuning.descent.worth(by_margin=self.session.setting.ordered)

    def _evaluate(self, candidate: Candidate, what: str) -> Plan[Trial]:
        trial = yield from self.session.evaluate(
            candidate.assignment,
            stage=f"{self.start.label}: {what}",
            why=f"predicted chance {candidate.chance:.0%}",
            treatment=self.start.treatment,
            errors=True,
            provisional=True,
        )
        self._take_in(trial)
        self._surrogate.tried.setdefault(candidate.assignment.digest, trial)
        return trial

    def _sweep(self) -> Plan[None]:
        """Try every cheaper change of one group, and cheaper ladder candidates, starting over below a better one."""
        for _ in range(self.tuning.descent.sweep(by_margin=self.session.setting.ordered)):
            assert self.best is not None
            todo = [one for one in self._unsettled(self.best) if one.chance >= self.tuning.descent.excluded]
            if not todo:
                self.minimal = True
                return
            if self._has_spent:
                return
            together = self._surrogate.judged(self._together(), below=self.best.cost)
            yield from self._evaluate(max([*todo, *together], key=self._gain), "sweep")

    def _unsettled(self, best: Trial) -> list[Candidate]:
        """Untried assignments that would be cheaper: one group changed, a bound, or what the ladder would probe."""
        return self._surrogate.judged([*self._neighbours(), *self._bounds, *self._ladder], below=best.cost)

    def _cheaper(self, best: Trial) -> list[Candidate]:
        """Untried assignments with one group changed that would be cheaper."""
        return self._surrogate.judged(self._neighbours(), below=best.cost)

    def _neighbours(self) -> list[Assignment]:
        """The best with one group elsewhere: lower, or finer, which may be cheaper, too."""
        if self.best is None or not self._surrogate.options.holds(self.best.configuration.effective):
            return []
        effective = self.best.configuration.effective
        choices = enumerate(self._surrogate.options.choices)
        return [effective.with_({g: p}) for g, own in choices for p in own if p is not effective[g]]

    def _together(self) -> list[Assignment]:
        """The best with its likeliest cheaper changes together: two of them, three, ..."""
        if self.best is None:
            return []
        effective = now = self.best.configuration.effective
        found = []
        for one in sorted(self._cheaper(self.best), key=lambda one: (-one.chance, one.cost)):
            changes = {g: p for g, p in enumerate(one.assignment.precisions) if p is not effective[g]}
            if all(now[g] is effective[g] for g in changes):
                now = now.with_(changes)
                found.append(now)
        return found[1:]

    def _swapped(self) -> list[Assignment]:
        """The best with one group changed to what is cheaper and another one to what is not."""
        if self.best is None or self._all is not None:
            return []
        effective = self.best.configuration.effective
        below, around = self.best.cost, self._surrogate.judged(self._neighbours())
        cheaper = sorted((o for o in around if o.cost < below), key=lambda one: (one.cost, -one.chance))
        dearer = sorted((o for o in around if o.cost >= below), key=lambda one: (-one.chance, one.cost))
        found = []
        for down, up in product(cheaper[: self.tuning.descent.swapped], dearer[: self.tuning.descent.swapped]):
            changes = {g: p for g, p in enumerate(up.assignment.precisions) if p is not effective[g]}
            if all(down.assignment[g] is effective[g] for g in changes):
                found.append(down.assignment.with_(changes))
        return found

    def _safe_cost(self, found: Sequence[Candidate]) -> float:
        """A little more than all_high costs, or than what is believed safe where that is dearer."""
        high = self.session.setting.cost.index(self.session.setting.bounds[1])
        safe = min(
            (one.cost for one in found if one.chance >= self.tuning.descent.safe),
            default=max((one.cost for one in found), default=0.0),
        )
        return (1.0 + self._worth) * max(high, safe)

    @property
    def _has_spent(self) -> bool:
        """Whether as many samples have run as an answer is worth; what earlier phases ran does not count."""
        run = sum(trial.n_run for trial in self.session.trials) - self._run_before
        return run / max(1, self.session.setting.n_samples) > self.tuning.descent.sets(
            by_margin=self.session.setting.ordered
        )
