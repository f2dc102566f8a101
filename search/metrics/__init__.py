"""Metrics: what is measured on outputs, whether a goal is met, and how sure that is."""
