"""Metrics that installed packages bring (entry points ``bitbudget.metrics``), by name; no code of theirs is loaded."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from search.errors import UsageError
from search.spec.metric_names import PLUGIN_PREFIX
from search.spec.suggestion import did_you_mean, listing

GROUP = "bitbudget.metrics"


def check_installed(name: str) -> None:
    """Refuse a ``plugin:`` metric that no package brings.

    Raises:
        UsageError: Names those there are.
    """
    known, wanted = sorted(installed_metrics()), name.removeprefix(PLUGIN_PREFIX)
    if wanted not in known:
        near = did_you_mean(wanted, known)
        raise UsageError(
            f"Metric {name!r}: no installed package brings a metric {wanted!r}{near}; installed: {listing(known)}."
        )


def installed_metrics() -> dict[str, EntryPoint]:
    """Return the entry point of every metric, by name without ``plugin:``."""
    return {one.name: one for one in entry_points(group=GROUP)}
