from __future__ import annotations

from search.targets.fitting.mixes import mixes
from search.targets.rulebook import Rulebook
from search.targets.target import load_target
from tests.targets.fitting.chips import network
from tests.targets.networks import random_network

ORT = load_target("ort-cpu", toolchain=None)


def test_mixes_are_legal_different_and_begin_with_the_uniform_ones():
    book = Rulebook(network(0), ORT)
    found = mixes(book, 20, seed=3)
    assert len({one.digest for one in found}) == 20
    for one in found:
        assert all(p in allowed.choices for p, allowed in zip(one.precisions, book.allowed, strict=True))
    assert [{p.activation.value for p in one.precisions} for one in found[:3]] == [{"int8"}, {"int16"}, {"fp32"}]
    assert found == mixes(book, 20, seed=3)
    assert found != mixes(book, 20, seed=4)


def test_small_networks_have_fewer():
    book = Rulebook(random_network(0, 1), ORT)
    assert 1 <= len(mixes(book, 50, seed=0)) < 50
