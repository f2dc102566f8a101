"""What a study has to say, once: trials, goals, verdicts, front and result, as every reader gets them."""
