"""Looks at this machine and at what the server keeps, for `imaged doctor`, and mends what may be mended."""
