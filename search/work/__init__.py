"""Work: what a study has computed, one file per kind: the only expensive part of a search."""
