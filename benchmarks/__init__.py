"""What is measured, against what, by which command."""
