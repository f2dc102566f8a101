"""Fitting the cost coefficients of a target to measured times."""
