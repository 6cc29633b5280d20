"""What an administrator changes on the server: one function for each operation, for command line and HTTP API."""
