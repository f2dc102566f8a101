"""The report: one HTML file that shows the verdict of a search with its evidence, and opens offline."""
