"""``exhaustive``: every assignment in the order of its cost."""
