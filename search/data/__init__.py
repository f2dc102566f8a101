"""Samples and labels: reading them from files, and checking that they fit the model."""
