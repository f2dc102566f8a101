"""Studies as users handle them: submitted, watched, steered, read."""
