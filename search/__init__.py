"""The search core: arrays and values in, values out. No web, no database, no clock, no environment."""
