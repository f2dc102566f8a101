"""The views of a study beside its overview, one module each."""
