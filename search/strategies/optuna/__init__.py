"""``optuna``: TPE or NSGA-II over a small mixed space."""
