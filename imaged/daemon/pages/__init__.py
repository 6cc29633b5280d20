"""The web page: one table of pages; each is answered in a thread, and followed while somebody looks at it."""
