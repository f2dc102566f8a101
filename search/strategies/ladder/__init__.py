"""``ladder``: the tuning guide, done by the machine."""
