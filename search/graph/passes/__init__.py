"""Passes that bring a lifted graph to its normal form. One file each; each returns its ``Changes``."""
