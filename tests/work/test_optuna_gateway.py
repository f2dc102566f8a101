from __future__ import annotations

import json
from dataclasses import replace

import pytest

from search.encoding import decoded, encoded
from search.errors import InvalidDataError
from search.work.optuna_gateway import POPULATION, Dimension, Told, propose

SPACE = (Dimension("ratio_0", 0.0), Dimension("float_rows", 0, 4, whole=True), Dimension("side", choices=("a", "b")))
SAMPLERS = pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
START = {"ratio_0": 1.0, "float_rows": 0, "side": "a"}


def judged(values, *, given=False, turn=0) -> Told:
    short = max(0.0, 0.4 - values["ratio_0"])
    return Told(
        values, 1 + values["ratio_0"] + 0.1 * values["float_rows"], short, 64 if short > 0.2 else None, given, turn
    )


def grown(sampler, n, *, seed=3, batch=1) -> list[Told]:
    """A history of ``n`` asks and more, as a search builds it."""
    history, turn = [judged(START, given=True)], 0
    while len(history) < n:
        turn += 1
        numbers = range(len(history), len(history) + batch)
        proposed = [ask(sampler, history, number=number, seed=seed) for number in numbers]
        history += [judged(values, turn=turn) for values in proposed]
    return history


def ask(sampler, history, *, number=None, seed=3):
    number = len(history) if number is None else number
    return propose(sampler, seed=seed, space=SPACE, history=history, number=number, worst=3.0)


@SAMPLERS
def test_a_proposal_is_a_function_of_what_is_known(sampler):
    history = grown(sampler, 20)
    stored = [decoded(Told, json.loads(json.dumps(encoded(told)))) for told in history]
    assert ask(sampler, history) == ask(sampler, stored)
    assert grown(sampler, 20) == history
    assert grown(sampler, 20, seed=4) != history


@SAMPLERS
def test_asks_of_one_turn_differ_and_come_back_the_same(sampler):
    history = grown(sampler, POPULATION + 4, batch=4)
    assert grown(sampler, POPULATION + 4, batch=4) == history
    turn = [ask(sampler, history, number=len(history) + i) for i in range(3)]
    assert len({str(values) for values in turn}) == 3


@SAMPLERS
def test_what_was_learnt_leads_to_cheaper_points(sampler):
    history = grown(sampler, 56)
    early, late = (min(t.cost for t in half if not t.shortfall) for half in (history[:4], history[32:]))
    assert late < 1.6 < early


def test_a_history_that_nsga2_did_not_propose_is_refused():
    history = grown("nsga2", 4)
    history[2] = replace(history[2], values={**history[2].values, "ratio_0": 0.123})
    with pytest.raises(InvalidDataError, match=r"^Ask 2 of the stored search has .*start over with --force"):
        ask("nsga2", history)


def test_given_points_do_not_shift_what_nsga2_draws_next():
    given = [judged({**START, "ratio_0": r}, given=True, turn=i) for i, r in enumerate((1.0, 0.5, 0.25))]
    drawn = ask("nsga2", given)
    more = [*given, judged(drawn, turn=3)]
    assert ask("nsga2", more) == ask("nsga2", more)
    assert [told.values for told in more[:3]] == [told.values for told in given]


@pytest.mark.parametrize("one", SPACE)
def test_a_dimension_survives_json(one):
    assert decoded(Dimension, json.loads(json.dumps(encoded(one)))) == one
