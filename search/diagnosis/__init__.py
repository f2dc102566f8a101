"""Diagnosis: what a number means and what to do about it, as data."""
