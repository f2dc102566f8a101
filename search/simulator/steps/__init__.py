"""The kinds of steps a program is made of, by family."""
