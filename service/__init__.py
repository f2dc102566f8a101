"""What people and programs talk to: the command line (and, later, the API, the dashboard and the client)."""
