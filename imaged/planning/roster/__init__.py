"""Nodes and groups as files of other programs know them, read without touching anything. Pure."""
