"""What strategies stand on: the trial session, goals, sensitivity tables, the LP relaxation, the end of a search."""
