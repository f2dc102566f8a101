"""How much a tenant may keep and for how long: quota, and what is done about time."""
