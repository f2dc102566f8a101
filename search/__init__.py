"""The search core: arrays and values in, values out. No web, no database, no clock, no environment."""

from search.telemetry import switch_off

switch_off()  # before anything below imports a library that reports
