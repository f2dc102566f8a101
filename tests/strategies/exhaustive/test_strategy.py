from __future__ import annotations

from itertools import product

import pytest

from search.assignment import Assignment
from search.errors import UsageError
from search.evaluation.configuration import Configuration, Treatment
from search.precision import Precision
from search.strategies.exhaustive.strategy import MOST_ASSIGNMENTS, check_countable, choices_above_low, exhaustive
from search.strategies.ladder.strategy import ladder
from search.targets.pins import Pin, resolve_pins
from tests.strategies.nets import J6M, J6P, chain, group, weights, written
from tests.strategies.simulated import CALIBRATION, Simulated, refusal

P = Precision
NO_FLOAT = (Pin(match="*", at_most="int16"),)


def noisy(n: int = 2, **more) -> Simulated:
    network = chain(n)
    unit = 2.4e-4 / (n * (n + 1))
    noise = {written(network, f"act{i}"): unit * (i + 1) for i in range(n)}
    noise |= {weights(network, f"conv{i}"): 0.75 * unit * (i + 1) for i in range(n)}
    return Simulated(network, J6M, noise, pins=NO_FLOAT, jitter=0.3, **more)


def optimum(simulated: Simulated) -> tuple[float, int]:
    """Cost of the cheapest assignment that meets the goals, by running every one; and how many are cheaper."""
    setting = simulated.setting()
    costs = []
    for precisions in product(*choices_above_low(setting.pins)):
        assignment = Assignment(precisions)
        configuration = Configuration(assignment, CALIBRATION, Treatment())
        met = all(simulated.value(configuration, goal.output) >= goal.required for goal in setting.goals)
        costs.append((setting.cost.index(assignment), met))
    best = min(cost for cost, met in costs if met)
    return best, sum(cost < best for cost, _ in costs)


def test_the_first_that_passes_is_the_cheapest_of_all():
    simulated = noisy()
    session = simulated.run(exhaustive)
    met = [trial for trial in session.trials if trial.is_met]
    cost, cheaper = optimum(simulated)
    assert [trial.cost for trial in met] == [cost]
    assert cheaper < len(session.trials) <= cheaper + 8  # those of equal cost come in a fixed order
    assert [trial.cost for trial in session.trials] == sorted(trial.cost for trial in session.trials)
    assert session.minimal is True


def test_no_strategy_finds_anything_cheaper():
    best = min(trial.cost for trial in noisy(3).run(ladder).trials if trial.is_met)
    assert min(trial.cost for trial in noisy(3).run(exhaustive).trials if trial.is_met) <= best


def test_a_batch_has_the_same_optimum_and_is_evaluated_whole():
    one = noisy().run(exhaustive)
    four = noisy().run(lambda session: exhaustive(session, batch=4))
    assert len(four.trials) == -(-len(one.trials) // 4) * 4
    assert [trial.configuration for trial in four.trials[: len(one.trials)]] == [t.configuration for t in one.trials]
    assert min(t.cost for t in four.trials if t.is_met) == min(t.cost for t in one.trials if t.is_met)


def test_too_many_assignments_are_refused_with_their_number():
    network = chain(12)
    with pytest.raises(UsageError, match=r"there are .*the limit is 20,000\. Pin more groups"):
        check_countable(resolve_pins(network, J6M, ()))
    few = [Pin(match=one.name, exactly="a8w8" if one.is_gemm else "int8") for one in network.groups[2:]]
    check_countable(resolve_pins(network, J6M, few))


def test_a_count_within_the_limit_is_not_refused_and_says_what_it_counts():
    pins = resolve_pins(chain(), J6M, NO_FLOAT)
    total = 1
    for own in choices_above_low(pins):
        total *= len(own)
    assert total > MOST_ASSIGNMENTS
    with pytest.raises(UsageError, match=f"there are {total:,};"):
        check_countable(pins)


def test_nothing_below_the_lowest_assignment_is_tried():
    network = chain(2)
    for own in choices_above_low(resolve_pins(network, J6P, ())):
        assert own[0] in (P.A8W8, P.FP16)
        assert not {P.INT8, P.INT16} & set(own)


def test_pins_are_never_moved():
    network = chain(2)
    pins = (*NO_FLOAT, Pin(match="conv1", exactly="a16w8"))
    session = Simulated(network, J6M, {weights(network, "conv0"): 0.01}, pins=pins).run(exhaustive)
    assert {trial.configuration.effective[group(network, "conv1")] for trial in session.trials} == {P.A16W8}


def test_if_nothing_meets_the_goal_the_highest_assignment_is_measured_in_full():
    network = chain(1)
    noise = {weights(network, "conv0"): 1e6}
    session = Simulated(network, J6M, noise, pins=NO_FLOAT).run(exhaustive)
    assert not any(trial.is_met for trial in session.trials)
    assert any(trial.is_complete for trial in session.trials)
    assert session.minimal is None


def test_what_takes_the_place_of_an_infeasible_candidate_waits_for_its_turn():
    network = chain(2)
    conv = group(network, "conv0")

    def refuses(configuration):
        if configuration.effective[conv] is not P.A8W8:
            return None
        return refusal("conv0")

    noise = {weights(network, "conv1"): 4e-4}
    simulated = Simulated(network, J6M, noise, pins=NO_FLOAT, refuses=refuses)
    session = simulated.run(exhaustive)
    best = min((t for t in session.trials if t.is_met), key=lambda t: t.cost)
    free = Simulated(network, J6M, noise, pins=(*NO_FLOAT, Pin(match="conv0", at_least="a16w8"))).run(exhaustive)
    assert best.cost <= min(t.cost for t in free.trials if t.is_met)
    assert P.A8W8 is not best.configuration.effective[conv]
