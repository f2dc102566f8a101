"""Which calibration method each width takes: a race on the first evaluation samples.

All methods of a width run on the first eighth, on the same samples. Those whose error is more than a quarter above the
best are out, since no further sample would make them win; if several are left, they run on the rest, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.errors import InvalidDataError
from search.evaluation.configuration import Calibration, Configuration, Treatment
from search.study.described import Described
from search.study.items import methods_by_bits, output_precision, quantization, sample_set
from search.targets.identity import numerics
from search.targets.legalise import legalise, uniform
from search.targets.rulebook import Rulebook
from search.tasks import Answer, Item, Plan
from search.work.kinds.calibrate import RANGES, Calibrated
from search.work.kinds.compare import Compare, Compared
from search.work.kinds.float import OUTPUTS, FloatRun
from search.work.problem import Problem

MOST_SAMPLES, FEWEST_SAMPLES = 256, 16
FIRST_SHARE = 8  # of the samples, in the first round
KEPT = 1.25  # score relative to the best one, up to which a method stays in the race
LEVELS = {8: "low", 16: "high"}  # the bound at which methods of a width are measured


@dataclass(frozen=True, kw_only=True)
class MethodScore:
    """How one calibration method did in the race of its width.

    Attributes:
        bits: The width.
        method: Its name.
        errors: Output to mean error, in the unit that ranks it; None if the method failed.
        score: That error relative to the best method on the samples both ran, averaged over outputs; None if it failed.
        failed: Whether it gave some tensor no range.
        samples: Samples it ran on.
    """

    bits: int
    method: str
    errors: Mapping[str, float] | None
    score: float | None
    failed: bool
    samples: int


@dataclass
class _Runner:
    """One method of one width, and what it reached so far: per output the sum of errors."""

    bits: int
    method: str
    configuration: Configuration
    n: int = 0
    sums: dict[str, float] | None = None
    failed: bool = False

    def add(self, compared: Compared, n: int, ranking: Mapping[str, str]) -> None:
        self.n += n
        if compared.failed is not None:
            self.failed = True
            return
        sums = self.sums or dict.fromkeys(ranking, 0.0)
        found = compared.errors
        self.sums = {out: sums[out] + n * found[out][metric] for out, metric in ranking.items()}

    @property
    def errors(self) -> dict[str, float] | None:
        """Mean error by output; None if it failed."""
        return None if self.failed or self.sums is None else {out: total / self.n for out, total in self.sums.items()}


def compare_methods(
    problem: Problem, described: Described, calibrate: Answer[Calibrated], forward: Answer[FloatRun]
) -> Plan[tuple[MethodScore, ...]]:
    """Run the races; a width with one method has none.

    Returns:
        One score per method.
    """
    runners = _runners(problem, described, calibrate)
    total = min(MOST_SAMPLES, described.n_samples)
    first = min(total, max(FEWEST_SAMPLES, total // FIRST_SHARE))
    scores = yield from _round(problem, described, forward, runners, (0, first))
    again = [one for bits in LEVELS for one in _left(bits, runners, scores)] if first < total else []
    scores |= yield from _round(problem, described, forward, again, (first, total))
    return tuple(
        MethodScore(
            bits=one.bits,
            method=one.method,
            errors=one.errors,
            score=scores[one.bits, one.method],
            failed=one.failed,
            samples=one.n,
        )
        for one in runners
    )


def chosen_methods(problem: Problem, rows: Sequence[MethodScore]) -> dict[int, str]:
    """Width to the method that won its race, or the only one there is.

    Raises:
        InvalidDataError: If every method of a width failed.
    """
    chosen = {}
    for bits in LEVELS:
        names = methods_by_bits(problem, bits)
        own = [row for row in rows if row.bits == bits]
        chosen[bits] = choose_method(own, names) if own else names[0]
    return chosen


def choose_method(rows: Sequence[MethodScore], methods: Sequence[str]) -> str:
    """The method with the smallest score among those that ran longest; ties go to the one named first."""
    longest = max((row.samples for row in rows if row.score is not None), default=0)
    scores = {row.method: row.score for row in rows if row.score is not None and row.samples == longest}
    usable = [method for method in methods if method in scores]
    if not usable:
        raise InvalidDataError(
            f"Every calibration method failed ({', '.join(methods)}); see calibration.overrides to fix ranges by hand."
        )
    return min(usable, key=lambda method: scores[method])


def _round(
    problem: Problem,
    described: Described,
    forward: Answer[FloatRun],
    runners: Sequence[_Runner],
    samples: tuple[int, int],
) -> Plan[dict[tuple[int, str], float | None]]:
    """Run some methods on some samples; return the scores of each width."""
    outputs = described.network.outputs
    ranking = {name: goal.ranking or "cosine" for goal in described.goals for name in goal.reads(outputs)}
    items = [_item(problem, described, forward, one.configuration, samples) for one in runners]
    answers = yield tuple(dict.fromkeys(items))
    for one, item in zip(runners, items, strict=True):
        one.add(answers[item].value, samples[1] - samples[0], ranking)
    return {key: score for bits in LEVELS for key, score in _scores(bits, runners, ranking).items()}


def _scores(bits: int, runners: Sequence[_Runner], outputs: Iterable[str]) -> dict[tuple[int, str], float | None]:
    """Mean over outputs of the error relative to the best method of a width."""
    own = {one.method: one.errors for one in runners if one.bits == bits}
    outputs = tuple(outputs)
    best = {out: min((e[out] for e in own.values() if e is not None), default=0.0) for out in outputs}
    return {
        (bits, method): None
        if errors is None
        else sum(errors[out] / best[out] if best[out] else 1.0 for out in outputs) / len(outputs)
        for method, errors in own.items()
    }


def _left(bits: int, runners: Sequence[_Runner], scores: Mapping[tuple[int, str], float | None]) -> tuple[_Runner, ...]:
    """Who goes on; nobody where the race is over."""
    known = {one.method: scores[bits, one.method] for one in runners if one.bits == bits}
    best = min((score for score in known.values() if score is not None), default=0.0)
    kept = [method for method, score in known.items() if score is not None and score <= KEPT * best]
    return tuple(one for one in runners if one.bits == bits and one.method in kept) if len(kept) > 1 else ()


def _runners(problem: Problem, described: Described, calibrate: Answer[Calibrated]) -> list[_Runner]:
    """8-bit methods at all_low, 16-bit methods at all_high."""
    first = {bits: methods_by_bits(problem, bits)[0] for bits in LEVELS}
    found = []
    for bits, level in LEVELS.items():
        methods = methods_by_bits(problem, bits)
        for method in methods if len(methods) > 1 else ():
            chosen = {**first, bits: method}
            calibration = Calibration(
                blob=calibrate.blobs[RANGES],
                method_8=chosen[8],
                method_16=chosen[16],
                samples=calibrate.value.samples,
            )
            request = uniform(described.network, problem.target, "low" if level == "low" else "high")
            effective = legalise(described.network, problem.target, request, pins=described.pins).effective
            found.append(_Runner(bits, method, Configuration(effective, calibration, Treatment())))
    return found


def _item(
    problem: Problem,
    described: Described,
    forward: Answer[FloatRun],
    configuration: Configuration,
    samples: tuple[int, int],
) -> Item[Compared]:
    book = Rulebook(described.network, problem.target, output_precision(problem))
    read = (name for goal in described.goals for name in goal.reads(described.network.outputs))
    work = Compare(
        samples=sample_set(problem),
        seed=problem.spec.search.seed,
        quantization=quantization(problem, described.network),
        numerics=numerics(book, configuration.effective, integers=False),
        configuration=configuration,
        range=samples,
        outputs=tuple(dict.fromkeys(read)),
        float_outputs=forward.blobs.get(OUTPUTS),
    )
    return Item(work, problem.context, macs=float(described.network.total_macs) * (samples[1] - samples[0]))
