"""Fills and edits working trees: from package repositories, by hand, from other machines and files. Thin I/O."""
