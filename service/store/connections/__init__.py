"""Named places outside the server that studies may read from: ``connection://<name>/<path>``, set up in a file."""
