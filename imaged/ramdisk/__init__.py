"""Builds the boot ramdisk and boot media."""
