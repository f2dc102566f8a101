"""Calibration: one pass over the data collects histograms; every method, width and sample count derives from them."""
