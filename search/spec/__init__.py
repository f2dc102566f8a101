"""What a user asks for: the job spec, its defaults and its texts."""
