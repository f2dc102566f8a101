"""The store: rows, files by digest, settings and what is forgotten with time; workers stand on it, too."""
