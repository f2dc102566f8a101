"""A program run in int64 with NumPy: slow, obvious, and what the fast way must equal bit for bit."""
