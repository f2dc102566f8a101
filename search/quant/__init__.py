"""Quantization: integer grids, histograms, the ranges observers choose, weights and fp16."""
