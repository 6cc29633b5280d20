"""Twisted services: each is transport around one pure object."""
