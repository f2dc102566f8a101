"""The ``bitbudget`` command line."""
