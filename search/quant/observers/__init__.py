"""Observers: pure functions from a histogram to the range a grid should cover."""

from search.quant.observers.registry import METHODS, Observer

__all__ = ["METHODS", "Observer"]
