"""The agent in the boot ramdisk: looks, is told, does, reports. Blocking, one-shot."""
