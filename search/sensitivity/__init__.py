"""How much each point alone hurts each output: bad cases, rows, tables."""
