"""The session a strategy works at: it asks for evaluations and tables, and every answer is kept in order.

``evaluate`` and ``tables`` are plans: they yield items and are sent results. The same configuration is never run twice,
and an evaluation stops as soon as the samples seen rule a goal out, unless it is wanted in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from search.assignment import Assignment
from search.evaluation.configuration import Calibration, Configuration, Treatment
from search.precision import Format
from search.records.missing import Missing
from search.records.verdict import Verdict
from search.sensitivity.table import Table
from search.strategies.shared.evaluation_run import Run, run_configuration, sample_ranges
from search.strategies.shared.goals import values_of
from search.strategies.shared.infeasible import InfeasibleSet
from search.strategies.shared.probing import missed, tables
from search.strategies.shared.recheck import recheck
from search.strategies.shared.setting import Setting
from search.strategies.shared.stopping import Look, StoppingRule
from search.strategies.shared.trial import Exported, Trial
from search.targets.legalise import Legal
from search.tasks import Plan


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a strategy wants to know, for the record: see ``Trial``."""

    requested: Assignment
    stage: str
    why: str
    ratio: float | None


@dataclass(frozen=True)
class Depth:
    """How far an evaluation goes; see ``TrialSession.evaluate``."""

    full: bool
    errors: bool
    provisional: bool


@dataclass
class TrialSession:
    """What has been asked so far. Built anew at every replay of the study.

    Attributes:
        setting: The facts.
        trials: In order.
        table_list: The tables that rank points, in order: those of outputs whose goals their base misses.
        stopping: Decides about evaluations after a part of the samples; None where only ``early_verdict`` does.
        minimal: Whether no raised group of the best trial can go lower alone; None where the strategy does not say.
    """

    setting: Setting
    trials: list[Trial] = field(default_factory=list)
    table_list: list[Table] = field(default_factory=list)
    stopping: StoppingRule | None = None
    minimal: bool | None = None
    _by_digest: dict[str, int] = field(default_factory=dict)

    @cached_property
    def infeasible(self) -> InfeasibleSet:
        """What running has ruled out so far."""
        setting = self.setting
        return InfeasibleSet(setting.network, setting.pins.allowed)

    def evaluate(
        self,
        requested: Assignment,
        *,
        stage: str,
        why: str = "",
        ratio: float | None = None,
        sides: Mapping[int, str] | None = None,
        treatment: Treatment | None = None,
        calibration: Calibration | None = None,
        full: bool = False,
        errors: bool = False,
        provisional: bool = False,
    ) -> Plan[Trial]:
        """Evaluate a request after the chip rules; known configurations answer at once.

        Where the chip cannot run it and another precision is left for the groups concerned, the changed request is
        evaluated, too, and its trial returned.

        Args:
            requested: One precision per group.
            stage: What the strategy is doing, for the record.
            why: What this trial is to find out.
            ratio: Share of the tables promoted.
            sides: Gemm group to the side (``activation | weight``) that keeps 16 bit where only one may.
            treatment: Pre-scales and fixed ranges.
            calibration: Scales other than those in use.
            full: Run all samples even if the goal is out of reach, and keep the bad cases.
            errors: Keep the bad cases and mean errors of what runs, also where it is stopped early.
            provisional: Also stop with a provisional yes, where the session stops early.
        """
        asked = Asked(requested=requested, stage=stage, why=why, ratio=ratio)
        depth = Depth(full=full, errors=errors or self.setting.staged, provisional=provisional)
        while True:
            legal = self._feasible(requested, sides)
            configuration = Configuration(
                legal.effective, calibration or self.setting.calibration, treatment or Treatment()
            )
            trial = yield from self._trial(asked, configuration, legal.reasons, depth)
            if trial.infeasible is None or not self.infeasible.learn(trial.infeasible, legal.effective):
                return trial

    def evaluate_exported(self, trial: Trial) -> Plan[Exported]:
        """What the Q/DQ model of a complete trial says on all samples."""
        if trial.exported is not None and trial.exported.n_run >= self.setting.n_samples:
            return trial.exported
        run = yield from run_configuration(self.setting, trial.configuration, evaluator="fake_quant", full=True)
        return run.exported()

    def _feasible(self, requested: Assignment, sides: Mapping[int, str] | None) -> Legal:
        """The chip rules, and what running has ruled out."""
        legal = self.setting.legaliser.legalise(requested, sides=sides)
        changes, reasons = self.infeasible.avoid(legal.effective)
        if not changes:
            return legal
        return Legal(legal.effective.with_(changes), {**legal.reasons, **reasons})

    def _trial(
        self, asked: Asked, configuration: Configuration, reasons: Mapping[int, str], depth: Depth
    ) -> Plan[Trial]:
        """Evaluate one configuration, or return what is known of it."""
        setting = self.setting
        known = self._by_digest.get(configuration.digest)
        if known is not None and self._knows_enough(self.trials[known], depth):
            return self.trials[known]
        run = yield from run_configuration(
            setting,
            configuration,
            evaluator=setting.evaluator,
            full=depth.full,
            keep_errors=depth.full or depth.errors,
            stops=() if known is None else self._stops(self.trials[known]),
            stopping=self.stopping,
            provisional=depth.provisional,
        )
        exported = None if setting.evaluator == "integer" else run
        if run.is_met and exported is None:
            exported = yield from run_configuration(setting, configuration, evaluator="fake_quant", full=False)
        trial = Trial(
            number=len(self.trials) + 1 if known is None else self.trials[known].number,
            stage=asked.stage,
            why=asked.why,
            ratio=asked.ratio,
            requested=asked.requested,
            reasons=reasons,
            configuration=configuration,
            cost=setting.cost.index(configuration.effective),
            parts=run.parts,
            ranges=tuple(run.ranges),
            values=run.values,
            n_run=run.n,
            estimates=run.estimates(),
            decided=run.decided,
            verdict=_verdict(run, exported),
            exported=None if exported is None else exported.exported(),
            infeasible=run.infeasible,
            warnings=run.warnings,
            float_interior=run.float_interior,
            worst=run.worst,
            errors=run.mean_errors(),
            evaluated=run.evaluated,
            seconds=run.seconds + (0.0 if exported is None or exported is run else exported.seconds),
        )
        self._keep(trial)
        return trial

    def _keep(self, trial: Trial) -> None:
        """Record a trial; one of the same configuration gives way."""
        known = self._by_digest.get(trial.configuration.digest)
        if known is None:
            self._by_digest[trial.configuration.digest] = len(self.trials)
            self.trials.append(trial)
        else:
            self.trials[known] = trial

    def complete(self, trial: Trial) -> Plan[Trial]:
        """Run a trial that was stopped with a provisional yes on everything.

        As a Q/DQ model it is the exported file itself that runs: what ran before is compared bit by bit, the rest is
        measured by it, and nothing is left to be checked in the end.
        """
        if trial.is_complete or trial.infeasible is not None:
            return trial
        if self.setting.evaluator == "integer":
            return (yield from self.finish(trial))
        rest = sample_ranges(trial.n_run, self.setting.n_samples, self.setting)
        checked = (*trial.ranges, *((start, stop, None) for start, stop in rest))
        result = yield from recheck(self.setting, trial.configuration, checked)
        if isinstance(result, Missing):
            return (yield from self.finish(trial))  # the delivery says what failed, if this trial gets that far
        parts, digests = result.value.parts, result.value.digests
        ranges = tuple((start, stop, digest) for (start, stop, _), digest in zip(checked, digests, strict=True))
        values = values_of(self.setting.goals, parts)
        is_met = all(goal.is_met(parts[goal.id], n=self.setting.n_samples) for goal in self.setting.goals)
        done = replace(
            trial,
            parts=parts,
            ranges=ranges,
            values=values,
            n_run=self.setting.n_samples,
            n_again=trial.n_run,
            estimates={},
            decided=(),
            checked=checked,
            verdict=Verdict.MET if is_met else Verdict.NOT_MET,
            exported=Exported(ranges, values, self.setting.n_samples),
            seconds=trial.seconds + result.seconds,
        )
        self._keep(done)
        return done

    def finish(self, trial: Trial) -> Plan[Trial]:
        """Run the samples that a trial was stopped before, by the evaluator of record."""
        asked = Asked(requested=trial.requested, stage=trial.stage, why=trial.why, ratio=trial.ratio)
        depth = Depth(full=True, errors=True, provisional=False)
        return (yield from self._trial(asked, trial.configuration, trial.reasons, depth))

    def _stops(self, trial: Trial) -> tuple[int, ...]:
        """Ends of the ranges that a trial ran with its errors kept: they need not run again."""
        return tuple(stop for _, stop, _ in trial.ranges if stop < self.setting.n_samples) if trial.worst else ()

    def _knows_enough(self, trial: Trial, depth: Depth) -> bool:
        if depth.full:
            return bool(trial.worst) and (trial.is_complete or trial.infeasible is not None)
        if trial.verdict is Verdict.PROMISING and not depth.provisional:
            return False
        return bool(trial.worst) or not depth.errors

    def tables(
        self, base: Trial, name: str, *, formats: Sequence[Format], every: bool = False, spared: bool = True
    ) -> Plan[tuple[Table, ...]]:
        """Measure tables and keep those that rank; see search/strategies/shared/probing.py."""
        found = yield from tables(self.setting, base, name, formats=formats, every=every, spared=spared)
        ranking = missed(self.setting, base)
        self.table_list.extend(table for table in found if table.output in ranking)
        return found


def _verdict(run: Run, exported: Run | None) -> Verdict:
    """How a trial ended; a goal is met only if the Q/DQ model meets it, too."""
    if run.infeasible is not None:
        return Verdict.INFEASIBLE
    if not run.is_complete:
        return Verdict.PROMISING if run.said is Look.ACCEPT else Verdict.REJECTED
    return Verdict.MET if run.is_met and exported is not None and exported.is_met else Verdict.NOT_MET
