"""Retention: what is past its time or its quota is condemned and deleted."""
