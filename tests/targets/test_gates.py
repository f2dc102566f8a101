"""Every statement of every built-in target that holds for some versions or routes only, walked one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.errors import UsageError
from search.graph.network import OpClass
from search.targets.evidence import Gated
from search.targets.target import Target, load_target, target_names
from search.targets.toolchain import parse_version

ROOT = Path(__file__).resolve().parents[2]
ROUTES = ("hmct", "plugin")


def statements(target: Target) -> Iterator[tuple[str, Gated]]:
    yield from ((f"request {one.level} {one.gemm.value}", one) for one in target.requests)
    yield from ((one.id, one) for one in target.rules)
    others = (target.high_precision_output, target.coordinates, target.grid)
    yield from ((type(one).__name__, one) for one in others if one is not None)


GATED = [
    pytest.param(one, id=f"{name}-{told}")
    for name in target_names()
    for told, one in statements(load_target(name, toolchain=None))
    if one.toolchain_min is not None or one.toolchain_below is not None or one.route is not None
]


def before(version: str) -> str:
    """A version just below."""
    numbers = list(parse_version(version))
    while numbers[-1] == 0:
        numbers.pop()
    return ".".join(map(str, [*numbers[:-1], numbers[-1] - 1, 999]))


def test_there_are_gates_to_walk():
    assert len(GATED) >= 10


@pytest.mark.parametrize("one", GATED)
def test_a_statement_holds_inside_its_window_and_on_its_route_only(one):
    first = one.toolchain_min or "0.1"
    assert one.holds(first, one.route)
    if one.toolchain_min is not None:
        assert not one.holds(before(one.toolchain_min), one.route)
    if one.toolchain_below is not None:
        assert one.holds(before(one.toolchain_below), one.route)
        assert not one.holds(one.toolchain_below, one.route)
    for route in ROUTES:
        assert one.holds(first, route) == (one.route in (None, route))


@pytest.mark.parametrize("name", target_names())
def test_every_source_a_statement_names_is_in_the_table_of_sources(name):
    table = (ROOT / "docs/targets.md").read_text()
    listed = {word.strip() for row in re.findall(r"^\| ([^|`]+) \|", table, re.MULTILINE) for word in row.split(",")}
    used = {word.strip() for _, one in statements(load_target(name, toolchain=None)) for word in one.source.split(",")}
    assert used - {"none public", ""} <= listed


@pytest.mark.parametrize(
    ("version", "hmct", "plugin"), [("3.4.9", 1, 1), ("3.5.0", 1, 2), ("3.7.0", 1, 2), ("3.7.1", 2, 2)]
)
@pytest.mark.parametrize("name", ["j6e", "j6m"])
def test_a_grid_sample_is_int8_for_longer_through_hmct(name, version, hmct, plugin):
    for route, n in (("hmct", hmct), ("plugin", plugin)):
        target = load_target(name, toolchain=version, route=route)
        assert len(target.operator_rules(OpClass.WARP, "GridSample").precisions) == n


def test_a_chip_with_one_way_to_it_takes_no_route():
    with pytest.raises(UsageError, match=r"leave out target\.route"):
        load_target("tx5105c", toolchain=None, route="hmct")


def test_the_route_is_part_of_what_a_target_is():
    one, other = (load_target("j6m", toolchain=None, route=route).digest for route in ROUTES)
    assert one != other
