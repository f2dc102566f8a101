"""How much each number of ``auto`` matters: one value at a time set to both ends of its ``tried`` range.

Problems are simulated (networks of random groups, noise by formula), half of the seeds for tuning and half held back;
a search takes a fraction of a second. Two figures per value: mean excess cost over the cheapest answer that any setting
found on the problem, and evaluations.

    python -m benchmarks.tuning [--problems 16] [--only descent.trials] [--write benchmarks/tuning.md]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from search.strategies.auto.strategy import auto
from search.strategies.auto.tuning import AutoTuning, meanings
from search.strategies.shared.settling import best_trial
from tests.strategies.nets import J6M32, J6P, ORT
from tests.strategies.simulated import Simulated
from tests.targets.networks import random_network

TARGETS = (J6M32, J6P, ORT)
MISSED = 0.5  # excess cost of an answer that was not found


@dataclass(frozen=True)
class Variant:
    """One value set to another one."""

    name: str
    text: str
    tuning: AutoTuning


def problem(seed: int) -> Simulated:
    """A problem by its seed: chip, size, loudness, disturbance and goal vary."""
    rng = np.random.default_rng([seed, 77])
    network = random_network(seed, n_groups=int(rng.integers(6, 16)))
    keys = [("activation", t) for t in range(len(network.tensors))]
    keys += [("weight", c) for c in range(len(network.constants))]
    noise = {key: float(10 ** rng.uniform(-5, -2.8)) for key in keys}
    goals = {network.outputs[0]: float(rng.uniform(0.02, 0.06))}
    return Simulated(network, TARGETS[seed % 3], noise, goals=goals, n=1000, jitter=0.2)


def variants() -> Iterator[Variant]:
    """The usual values, then every value at both ends of what is tried."""
    usual = AutoTuning()
    yield Variant("usual", "", usual)
    for part in fields(usual):
        own = getattr(usual, part.name)
        for name, meaning in meanings(type(own)).items():
            old = getattr(own, name)
            for end in meaning.tried if not isinstance(old, tuple) else ():
                value = round(end) if isinstance(old, int) else float(end)
                changed = replace(own, **{name: value})
                yield Variant(f"{part.name}.{name}", f"{value:g}", replace(usual, **{part.name: changed}))


def searched(seed: int, tuning: AutoTuning) -> tuple[float, int]:
    """Cost of the answer (infinite if there is none) and evaluations."""
    study = problem(seed)
    session = study.run(partial(auto, tuning=tuning))
    best = best_trial(session.trials, session.setting.goals)
    return (best.cost if best is not None and best.is_met else np.inf), study.evaluations


def table(n_problems: int, only: str | None) -> list[str]:
    """Rows of the table, in Markdown."""
    chosen = [one for one in variants() if only in (None, one.name) or one.name == "usual"]
    found = {one: [searched(seed, one.tuning) for seed in range(n_problems)] for one in chosen}
    least = np.min([[cost for cost, _ in rows] for rows in found.values()], axis=0)
    known = np.isfinite(least)  # problems that any setting solved
    half = np.arange(n_problems) % 2
    rows = ["| value | set to | excess, tuned half | excess, held half | evaluations |", "|---|---|---|---|---|"]
    for one, results in found.items():
        costs = np.array([cost for cost, _ in results])
        excess = np.where(np.isfinite(costs[known]), costs[known] / least[known] - 1.0, MISSED)
        tuned, held = (excess[half[known] == which].mean() for which in (0, 1))
        asked = np.mean([n for _, n in results])
        rows.append(f"| {one.name} | {one.text} | {tuned:.2%} | {held:.2%} | {asked:.2f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--only")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    rows = table(options.problems, options.only)
    print("\n".join(rows))
    if options.write is not None:
        command = f"`python -m benchmarks.tuning --problems {options.problems}`"
        head = f"# What each number of `auto` is worth\n\n{command}. {(__doc__ or '').splitlines()[0]}\n"
        options.write.write_text("\n".join([head, *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
