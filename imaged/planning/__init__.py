"""Facts in, decisions out. Pure: no files, no processes, no clock."""
