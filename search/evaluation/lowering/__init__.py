"""From one placement to a program of integers: where the Q/DQ graph rounds, the program computes on integers."""
