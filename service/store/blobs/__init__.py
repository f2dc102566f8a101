"""Files by content: what a blob is on disk. Who may see it and who needs it stands in the database."""
