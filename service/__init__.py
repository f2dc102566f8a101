"""What people and programs talk to: the command line, the API, the dashboard and the client."""
