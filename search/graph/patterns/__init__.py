"""Operators that an exporter split into several nodes, recognised as one group each."""
