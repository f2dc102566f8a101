"""The rungs that ``auto`` considers are what ``ladder`` probes; loud points are measured in finer formats."""

import pytest

from search.precision import Format
from search.strategies.auto.ladder_candidates import ladder_candidates
from search.strategies.auto.promoted_noise import promoted_noise
from search.strategies.auto.tuning import DEFAULT
from search.strategies.ladder.mix import rows_at
from search.strategies.shared.promotion import Promotion
from search.strategies.shared.session import TrialSession
from search.targets.legalise import uniform
from tests.strategies.nets import J6M, J6M32, chain, written
from tests.strategies.simulated import Simulated


def spread(network, scale=1e-5):
    return {written(network, f"act{i}"): scale * 2**i for i in range(6)}


def at_low(study):
    """A session with the lowest trial and its tables."""
    session = TrialSession(study.setting())
    bottom = uniform(study.network, study.target, "low")
    low = study.drive(session.evaluate(bottom, stage="low", full=True, errors=True))
    return session, low, study.drive(session.tables(low, "low", formats=(Format.INT8,)))


@pytest.mark.parametrize("target", [J6M, J6M32], ids=["one side", "both sides"])
def test_every_common_ratio_of_the_ladder_is_a_rung(target):
    network = chain(6)
    study = Simulated(network, target, spread(network))
    probed = [trial for trial in study.run().trials if "common ratio" in trial.stage]
    session, low, tables = at_low(study)
    found = ladder_candidates(session, low.configuration.effective, tables, Format.INT16)
    assert len(tables[0].rows) > DEFAULT.descent.ladder_each / 2
    assert len(probed) >= 3
    assert {trial.configuration.effective.digest for trial in probed} <= {one.digest for one in found}
    assert len({one.digest for one in found}) == len(found)


def test_rungs_rise_to_all_rows():
    network = chain(6)
    session, low, tables = at_low(Simulated(network, J6M32, spread(network)))
    found = ladder_candidates(session, low.configuration.effective, tables, Format.INT16)
    costs = [session.setting.cost.index(one) for one in found]
    longest = len(tables[0].rows)
    promotion = Promotion(session.setting.book, low.configuration.effective, Format.INT16)
    everything = promotion.request(rows_at(tables, longest, longest))
    legal = session.setting.legaliser.legalise(everything, sides=promotion.sides(tables)).effective
    assert legal in found
    assert costs[0] < max(costs)
    assert ladder_candidates(session, low.configuration.effective, (), Format.INT16) == []


def test_only_loud_points_are_measured_finer_and_their_share_is_that_of_the_chip():
    network = chain(6)
    loud, quiet = written(network, "act2"), written(network, "act4")
    steps = {loud: {Format.INT16: 0.5}}
    study = Simulated(network, J6M32, {loud: 10 * DEFAULT.noise.loud, quiet: 0.01 * DEFAULT.noise.loud}, steps=steps)
    session, low, tables = at_low(study)
    asked = len(study.asked)
    kept = study.drive(promoted_noise(session, low, tables))
    assert {(point.kind.value, point.index) for point in kept} == {loud}
    shares = next(iter(kept.values()))
    errors = {step: 10 * DEFAULT.noise.loud * step**2 for step in (1.0, 0.5)}
    powers = {step: (1 - error / (1 + error)) ** -2 - 1 for step, error in errors.items()}
    assert shares[Format.INT16] == pytest.approx(powers[0.5] / powers[1.0])
    assert {item.work.point.index for item in study.asked[asked:]} == {loud[1]}


def test_nothing_is_measured_where_no_point_is_loud_and_at_most_so_many_where_all_are():
    network = chain(6)
    study = Simulated(network, J6M32, spread(network))
    session, low, tables = at_low(study)
    asked = len(study.asked)
    assert study.drive(promoted_noise(session, low, tables)) == {}
    assert len(study.asked) == asked
    long = chain(DEFAULT.noise.loud_points)
    all_loud = {("activation", t): 1.0 for t in range(len(long.tensors))}
    study = Simulated(long, J6M32, all_loud)
    session, low, tables = at_low(study)
    assert len(tables[0].rows) > DEFAULT.noise.loud_points
    assert len(study.drive(promoted_noise(session, low, tables))) == DEFAULT.noise.loud_points
