"""The kinds of work, one file each: parameters, result and runner."""
