"""Disk layouts of other programs to the plain data of ours, with a note for all that cannot be said. Pure."""
