"""What is delivered, as one value that every exporter is a function of."""
