"""NoiseAttenuation by slow placement, noise by its formula, learning in closed form, speed."""

import numpy as np
import pytest

from search.assignment import Assignment
from search.precision import Format
from search.sensitivity.points import PointKind, points_of
from search.strategies.auto.noise_model import NoiseModel, OutputNoise, power
from search.strategies.shared.attenuation import CHUNK, POWER, ChoiceSpace, NoiseAttenuation
from search.strategies.shared.lp_relaxation import LpRelaxation, raised
from search.targets.cost import CostModel
from search.targets.legalise import Legaliser, uniform
from search.targets.placement import place
from search.targets.rulebook import Rulebook
from tests.strategies.nets import J6M, J6M32, J6P, chain
from tests.targets.networks import random_network

TARGETS = [J6M, J6M32, J6P]


def options_of(network, target):
    book = Rulebook(network, target)
    base = Legaliser(book).legalise(uniform(network, target, "low")).effective
    formats = {Format.INT8, Format.INT16}
    choices = tuple(
        (own,) if own.is_float else raised([p for p in legal.choices if {p.activation, p.weight} <= formats], own)
        for own, legal in zip(base.precisions, book.allowed, strict=True)
    )
    options = ChoiceSpace(book, base, choices)
    return options, points_of(network, place(network, target, base), (Format.INT8,))


def _acts(network, point):
    """Whether a point is read by anything."""
    if point.kind is PointKind.WEIGHT:
        return True
    return bool(network.readers[point.index] or network.tensors[point.index].model_outputs)


def drawn(options, rng, n):
    return np.array([[rng.integers(len(own)) for own in options.choices] for _ in range(n)], np.uint8)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: str(t.name))
@pytest.mark.parametrize("seed", range(4))
def test_levels_are_what_the_placement_says(target, seed):
    network = random_network(seed, n_groups=12)
    options, points = options_of(network, target)
    points = [point for point in points if _acts(network, point)]
    rows = drawn(options, np.random.default_rng(seed), 40)
    found = NoiseAttenuation(options, points).of(rows)
    for row, attenuation in zip(rows, found, strict=True):
        placement = place(network, target, options.decode(row))
        for point, level in zip(points, attenuation, strict=True):
            if point.kind is PointKind.WEIGHT:
                assert level == pytest.approx(POWER[placement.constants[point.index]])
                continue
            reads = {placement.read[g][s] for g, s in network.readers[point.index]} | {placement.stored[point.index]}
            assert level >= min(POWER[fmt] for fmt in reads) * (1 - 1e-9)
            if placement.stored[point.index] is Format.INT8:
                assert level == pytest.approx(1.0)
            elif min(reads) is not Format.INT8:
                assert level <= POWER[Format.FP16] + 1e-9
    base = NoiseAttenuation(options, points).of(np.zeros((1, len(network.groups)), np.uint8))
    assert base[0] == pytest.approx(np.ones(len(points)))


def test_measured_assignments_correct_the_prediction_by_the_closed_form_of_least_squares():
    network = chain(4)
    options, points = options_of(network, J6M32)
    attenuation = NoiseAttenuation(options, points)
    rng = np.random.default_rng(1)
    powers, truth = rng.uniform(0.5, 1.5, len(points)) * 1e-3, rng.uniform(0.3, 3.0, len(points))
    noise = OutputNoise(attenuation, powers, limit=1e-3)
    features = attenuation.of(drawn(options, rng, 60))
    for row in features:
        noise.observe(row, float(row @ (powers * truth)))
    fresh = attenuation.of(drawn(options, rng, 200))
    found = noise.predict(fresh).mean
    exact = fresh @ (powers * truth)
    assert np.median(np.abs(found / exact - 1)) < 0.05


def test_a_measured_assignment_is_predicted_more_surely_than_a_strange_one():
    network = chain(6)
    options, points = options_of(network, J6M32)
    attenuation = NoiseAttenuation(options, points)
    noise = OutputNoise(attenuation, np.full(len(points), 1e-4), limit=1e-3)
    rows = drawn(options, np.random.default_rng(2), 2)
    features = attenuation.of(rows)
    before = noise.predict(features)
    noise.observe(features[0], 2.5 * float(before.mean[0]))
    after = noise.predict(features)
    assert after.sd[0] < 0.3 * before.sd[0]
    assert after.mean[0] == pytest.approx(2.5 * float(before.mean[0]), rel=0.1)
    assert after.sd[0] < after.sd[1]


def test_noise_power_of_a_cosine_is_that_of_orthogonal_noise():
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000)
    for wanted in (1e-4, 1e-2, 1.0):
        noisy = x + rng.normal(size=x.size) * np.sqrt(wanted)
        error = 1 - noisy @ x / np.linalg.norm(noisy) / np.linalg.norm(x)
        assert power(error, "cosine") == pytest.approx(wanted, rel=0.05)


def test_many_assignments_are_predicted_like_one_by_one():
    network = random_network(5, n_groups=12)
    options, points = options_of(network, J6M)
    attenuation, rng = NoiseAttenuation(options, points), np.random.default_rng(0)
    noise = OutputNoise(attenuation, rng.uniform(0.1, 2.0, len(points)), limit=1.0)
    estimator = NoiseModel(attenuation, {"y": noise})
    seen = drawn(options, rng, 3)
    for row in seen:
        estimator.observe(row, {"y": float(rng.uniform(0.5, 3.0))})
    rows = np.tile(drawn(options, rng, 60), (2 * CHUNK // 60 + 2, 1))
    found = estimator.predict(rows)["y"]
    assert len(found.mean) == len(found.sd) == len(rows) > 2 * CHUNK
    for i in (0, 1, CHUNK - 1, CHUNK, 2 * CHUNK, len(rows) - 1):
        one = estimator.predict(rows[i : i + 1])["y"]
        assert found.mean[i] == pytest.approx(one.mean[0], rel=1e-12)
        assert found.sd[i] == pytest.approx(one.sd[0], rel=1e-9)
    assert len(estimator.predict(rows[:0])["y"].mean) == 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: str(t.name))
@pytest.mark.parametrize("seed", range(4))
def test_the_frontier_is_the_cheapest_of_all_assignments_below_the_limit(target, seed):
    network = random_network(seed, n_groups=7)
    options, points = options_of(network, target)
    attenuation = NoiseAttenuation(options, points)
    rng = np.random.default_rng(seed)
    powers = rng.uniform(0.1, 1.0, len(points)) ** 3
    rows = np.stack(np.meshgrid(*[np.arange(len(own)) for own in options.choices]), -1).reshape(
        -1, len(options.choices)
    )
    if len(rows) > 20_000:
        rows = rows[:: len(rows) // 20_000 + 1]
    rows = rows.astype(np.uint8)
    noise = attenuation.of(rows) @ powers
    costs = np.array([_picoseconds(options, a) for a in map(options.decode, rows)]) if len(rows) <= 3000 else None
    for share in (0.1, 0.4, 0.8):
        limit = share * float(noise.max()) or 1.0
        found = LpRelaxation(attenuation, CostModel(network, target)).cheapest([powers], [limit])
        if found is None:
            assert noise.min() > limit * (1 - 1e-6)
            continue
        assert float(attenuation.of(options.encode(found)[None])[0] @ powers) <= limit * (1 + 1e-6)
        if costs is not None and (noise <= limit).any():
            assert _picoseconds(options, found) <= costs[noise <= limit].min() * (1 + 2e-3)


def _picoseconds(options, assignment: Assignment) -> float:

    return CostModel(options.book.network, options.book.target).cost(assignment)
