"""A program of integer steps as one float graph that gives the same integers, at the speed of float kernels."""
