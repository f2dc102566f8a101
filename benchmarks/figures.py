"""A measured figure beside its goal, the same way in every benchmark of the service."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass

from service.machine import processor


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of a benchmark.

    Attributes:
        name: What was measured.
        text: The figure with its unit, and under which circumstances.
        value: The figure that the goal is about; None if there is no goal.
        goal: What it may be at most, or at least.
        unit: Of ``value`` and ``goal``.
        is_least: Whether the goal is a least one.
    """

    name: str
    text: str
    value: float | None = None
    goal: float | None = None
    unit: str = ""
    is_least: bool = False

    @property
    def wanted(self) -> str:
        """The goal in words, empty if there is none."""
        if self.goal is None:
            return ""
        return f"at {'least' if self.is_least else 'most'} {self.goal:g}{self.unit and ' '}{self.unit}"

    @property
    def verdict(self) -> str:
        """``met`` or ``missed``, empty without a goal."""
        if self.goal is None or self.value is None:
            return ""
        return "met" if (self.value >= self.goal if self.is_least else self.value <= self.goal) else "missed"

    def line(self) -> str:
        """As it is printed."""
        return f"{self.name}: {self.text}" + (f" ({self.wanted}: {self.verdict})" if self.verdict else "")


def circumstances(load: float) -> str:
    """Day, machine and how much else it did when the benchmark began."""
    parts = [f"{processor()}, {os.cpu_count()} processors", platform.system(), f"Python {platform.python_version()}"]
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {', '.join(parts)}; load average at the start {load:.1f}"


def page(title: str, where: str, command: str, figures: Iterable[Figure]) -> str:
    """A page with a table of all figures."""
    rows = [f"| {one.name} | {one.text} | {one.wanted} | {one.verdict} |" for one in figures]
    source = command.split()[2].replace(".", "/") + ".py"
    head = [f"# {title}", "", f"{where}; `{command}`.", "", "| | measured | goal | |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, "", f"What each line means stands on top of `{source}`."]) + "\n"
