"""The chance that uneven noise turns a sample over, against drawn noise."""

import numpy as np
import pytest

from search.strategies.shared.flip_probability import FAR, UNEVEN, flip_probability


@pytest.mark.parametrize("z", [0.0, 0.5, 1.5, 3.0])
def test_it_is_the_share_of_drawn_noise_beyond_the_margin(z):
    rng = np.random.default_rng(0)
    loudness = np.exp(0.5 * UNEVEN * rng.normal(size=400_000))
    share = np.mean(rng.normal(size=loudness.size) * loudness > z)
    assert float(flip_probability(np.array(z))) == pytest.approx(share, rel=0.05)


def test_it_falls_with_the_margin_and_ends():
    found = flip_probability(np.linspace(0.0, FAR + 1.0, 50))
    assert (np.diff(found) <= 0).all()
    assert found[0] == pytest.approx(0.5)
    assert found[-1] == 0.0
