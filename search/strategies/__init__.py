"""Strategies: what to evaluate next. They propose and read results; they never run anything themselves."""
