"""What the web page shows: pure functions from facts to frozen values; templates and static files beside them."""
