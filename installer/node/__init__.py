"""What stays on a running node: standard library only, Python 3.6 and later."""
