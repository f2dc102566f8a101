"""From real factors, functions and constants to the integers of a program."""
