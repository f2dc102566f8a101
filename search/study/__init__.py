"""A study as a pure function of its results: ``next_tasks`` says what is missing, ``Bench.run`` computes it."""
