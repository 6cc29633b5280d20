"""Frozen values shared by the server and the installer. Pure; imports nothing outside itself."""
