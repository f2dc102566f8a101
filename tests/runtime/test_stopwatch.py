from __future__ import annotations

import numpy as np
import pytest

from search.runtime.stopwatch import interleave, steady


def test_everything_runs_once_per_round_and_once_before():
    now, order = [0.0], []

    def work(i: int):
        def run() -> None:
            order.append(i)
            now[0] += 10.0**-i

        return run

    seconds = interleave([work(i) for i in range(4)], rounds=5, seed=0, clock=lambda: now[0])
    assert seconds == pytest.approx(np.tile([1, 0.1, 0.01, 0.001], (5, 1)), rel=1e-6)
    rounds = [order[i : i + 4] for i in range(0, len(order), 4)]
    assert len(rounds) == 6
    assert all(sorted(one) == [0, 1, 2, 3] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_a_slow_spell_of_the_machine_cancels():
    rng = np.random.default_rng(0)
    true = np.array([1.0, 1.3, 2.0, 5.0])
    spell = np.where(np.arange(21) % 3 == 0, 3.0, 1.0)
    found = steady(true * spell[:, None] * np.exp(0.005 * rng.normal(size=(21, 4))))
    assert found.seconds / found.seconds[0] == pytest.approx(true, rel=0.01)
    assert found.noise < 0.01


def test_the_noise_floor_is_what_two_halves_differ_by():
    level = np.ones((20, 3))
    level[::2, 0] = 1.2
    level[::2, 1] = 0.8
    assert steady(level).noise == pytest.approx(0.2, abs=0.01)
    assert steady(np.ones((4, 3))).noise == 0.0
