"""Bytes to frozen packets and back. Pure: no sockets, no clock."""
