"""Whether a way to feed a model is right: one sample must give the same answer alone and beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from search.arrays import Array
from search.data.fed import Fed
from search.data.layout import OutputLayout
from search.errors import UnsupportedModelError
from search.runtime.feeding import BATCH, Feeding
from search.runtime.session import Session

TOLERANCE = 1e-3  # of an output's largest absolute value: float32 sums in another order
ABSOLUTE = 1e-5
BESIDE = 3  # samples in a run that is compared with runs of one
LOOKED_AT = 64  # samples among which different ones are looked for
Answers = Mapping[str, Array]
Rows = Mapping[str, Array]


class Verdict(Enum):
    """What running the model showed."""

    HOLDS = "holds"
    ONE_ONLY = "one only"  #: runs on one sample and on no more: nothing can mix
    DOES_NOT_GROW = "does not grow"
    MIXES = "mixes"
    RANDOM = "random"
    FAILS = "fails"


@dataclass(frozen=True, eq=False)
class Proof:
    """The outcome for one way to feed a model.

    Attributes:
        verdict: What was seen.
        feeding: How to feed it, where it runs.
        answers: Outputs of the first sample, ``[1, *]``.
        difference: Largest difference over the size of the output.
        output: Output that differs or does not grow.
        reason: Why it does not run.
        compared: Whether samples were run beside each other, so that ``HOLDS`` says more than that it runs.
    """

    verdict: Verdict
    feeding: Feeding = field(default_factory=lambda: Feeding(1, fixed=True))
    answers: Answers = field(default_factory=dict)
    difference: float = 0.0
    output: str = ""
    reason: str = ""
    compared: bool = False

    @property
    def is_runnable(self) -> bool:
        """Whether samples can at least be run one by one."""
        return self.verdict in (Verdict.HOLDS, Verdict.ONE_ONLY, Verdict.DOES_NOT_GROW, Verdict.MIXES)


def prove(session: Session, samples: Fed, *, fixed: int | None) -> Proof:
    """Run single samples against runs of several.

    Args:
        session: The user's model.
        samples: Data as the model is thought to take it.
        fixed: Samples every run must hold; None for any number.
    """
    try:
        if fixed is not None and fixed > 1:
            return _prove_fixed(session, samples, fixed)
        return _prove_alone(session, samples, many=fixed is None)
    except UnsupportedModelError as error:
        return Proof(Verdict.FAILS, reason=str(error).removeprefix("ONNX Runtime cannot run the model: "))


def same_answers(a: Answers, b: Answers) -> bool:
    """Whether two sets of outputs agree in shapes and values."""
    return all(a[name].shape == b[name].shape and gap(a[name], b[name]) <= 1 for name in a)


def gap(a: Array, b: Array) -> float:
    """Largest difference as a multiple of what is tolerated; infinite where shapes differ or integers are not equal."""
    if a.shape != b.shape:
        return float("inf")
    if not np.issubdtype(b.dtype, np.floating):
        return 0.0 if np.array_equal(a, b) else float("inf")
    x, y = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(y)
    if not np.array_equal(finite, np.isfinite(x)):
        return float("inf")
    if not finite.any():
        return 0.0
    size = float(np.max(np.abs(y[finite])))
    return float(np.max(np.abs(x[finite] - y[finite]))) / (TOLERANCE * size + ABSOLUTE)


def _prove_alone(session: Session, samples: Fed, *, many: bool) -> Proof:
    """A model whose runs may hold one sample."""
    picked = _picked(samples)
    first = samples.feeds(picked[0])
    alone, again = session.run(first), session.run(first)
    random, name = _worst([(name, gap(again[name], alone[name])) for name in alone])
    if random > 1:
        return Proof(Verdict.RANDOM, difference=random * TOLERANCE, output=name)
    single = {name: _layout_alone(value) for name, value in alone.items()}
    answers = {name: single[name].rows(value, 1) for name, value in alone.items()}
    one = Feeding(1, fixed=True, outputs=single)
    if not many or len(picked) < 2:
        return Proof(Verdict.HOLDS, one, answers)
    alones = [alone, *(session.run(samples.feeds(rows)) for rows in picked[1:])]
    try:
        together = session.run(samples.feeds(_joined(picked)))
    except UnsupportedModelError:
        return Proof(Verdict.ONE_ONLY, one, answers)
    proof = _compared(alones, together, one, answers)
    runs_alone = samples.differs or samples.n_samples == 1
    return replace(proof, feeding=one) if runs_alone and proof.verdict is Verdict.HOLDS else proof


def _compared(alones: Sequence[Answers], together: Answers, one: Feeding, answers: Answers) -> Proof:
    """Compare runs of one sample each with a run of all of them."""
    layouts: dict[str, OutputLayout] = {}
    for name, value in together.items():
        parts = [alone[name] for alone in alones]
        layout = _layout_of(value, parts)
        if layout is None:
            return Proof(Verdict.DOES_NOT_GROW, one, answers, output=name)
        layouts[name] = layout
    gaps = []
    for name, value in together.items():
        rows = layouts[name].rows(value, len(alones))
        expected = np.concatenate([layouts[name].rows(alone[name], 1) for alone in alones])
        gaps.append((name, gap(rows, expected)))
    worst, output = _worst(_told(gaps, together))
    if worst > 1:
        return Proof(Verdict.MIXES, one, answers, difference=worst * TOLERANCE, output=output)
    return Proof(Verdict.HOLDS, Feeding(BATCH, fixed=False, outputs=layouts), answers, compared=True)


def _prove_fixed(session: Session, samples: Fed, batch: int) -> Proof:
    """A model whose runs hold ``batch`` samples: the neighbours of the first must not matter, nor must its place."""
    picked = _picked(samples)
    n = len(picked)
    around = [picked[i % n] for i in range(batch)]
    others = [picked[0], *(picked[-1 - i % max(1, n - 1)] for i in range(batch - 1))]
    moved = [around[-1], *around[:-1]]
    base, replaced, shifted = (session.run(samples.feeds(_joined(one))) for one in (around, others, moved))
    layouts: dict[str, OutputLayout] = {}
    gaps = []
    for name, value in base.items():
        axis = next((a for a, size in enumerate(value.shape) if size == batch), None)
        if axis is None:
            same = gap(value, replaced[name]) <= 1 and gap(value, shifted[name]) <= 1
            if not same or n < 2:
                return Proof(Verdict.DOES_NOT_GROW, output=name)
            layouts[name] = OutputLayout(None, shared=True)
            continue
        layouts[name] = OutputLayout(axis)
        first = layouts[name].rows(value, batch)[0]
        at_second = layouts[name].rows(shifted[name], batch)[1]
        gaps += [(name, gap(layouts[name].rows(replaced[name], batch)[0], first)), (name, gap(at_second, first))]
    worst, output = _worst(_told(gaps, base))
    answers = {name: layouts[name].rows(value, batch)[:1] for name, value in base.items()}
    feeding = Feeding(batch, fixed=True, outputs=layouts)
    if worst > 1:
        return Proof(Verdict.MIXES, feeding, answers, difference=worst * TOLERANCE, output=output)
    return Proof(Verdict.HOLDS, feeding, answers, compared=len(picked) > 1)


def _picked(samples: Fed) -> list[Rows]:
    """Up to ``BESIDE`` different samples of one size; where the data has no second one, the first one reversed."""
    first = samples.rows([0])
    found: list[Rows] = [first]
    step = max(1, samples.n_samples // LOOKED_AT)
    for number in range(step, samples.n_samples, step):
        rows = samples.rows([number])
        if all(_shapes(rows) == _shapes(one) and not _equal(rows, one) for one in found):
            found.append(rows)
        if len(found) == BESIDE:
            return found
    if len(found) == 1:
        reverse = {name: np.flip(rows, tuple(range(1, rows.ndim))) for name, rows in first.items()}
        found += [reverse] if not _equal(reverse, first) else []
    return found


def _joined(picked: Sequence[Rows]) -> dict[str, Array]:
    return {name: np.concatenate([rows[name] for rows in picked]) for name in picked[0]}


def _shapes(rows: Rows) -> list[tuple[int, ...]]:
    return [array.shape for array in rows.values()]


def _equal(a: Rows, b: Rows) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)


def _layout_alone(value: Array) -> OutputLayout:
    """Where the one sample of a run lies: on axis 0 if that has size 1, else the output has no axis for it."""
    return OutputLayout(0 if value.ndim and value.shape[0] == 1 else None)


def _layout_of(value: Array, alones: Sequence[Array]) -> OutputLayout | None:
    """Where samples lie in an output that came for several; None where it does not grow with them."""
    n, shapes = len(alones), {alone.shape for alone in alones}
    if len(shapes) > 1:
        return None
    (single,) = shapes
    for axis, size in enumerate(value.shape):
        if size == n and single == (*value.shape[:axis], 1, *value.shape[axis + 1 :]):
            return OutputLayout(axis)
    same = value.shape == single and all(gap(alone, value) <= 1 for alone in alones)
    return OutputLayout(None, shared=True) if same else None


def _told(gaps: Sequence[tuple[str, float]], values: Answers) -> Sequence[tuple[str, float]]:
    """Gaps that decide: those of real outputs where there are any. A near tie may turn an index over."""
    real = [one for one in gaps if np.issubdtype(values[one[0]].dtype, np.floating)]
    return real or gaps


def _worst(gaps: Sequence[tuple[str, float]]) -> tuple[float, str]:
    name, worst = max(gaps, key=lambda one: one[1], default=("", 0.0))
    return worst, name
