"""The kernel command line of the boot ramdisk: short, because some loaders cut it at 255 characters."""


def install_arguments(server: str, token: str, console: str) -> str:
    """``console`` in the kernel's notation goes last, so that it becomes /dev/console; tty0 stays beside it."""
    consoles = f"console=tty0 console={console}" if console else "console=tty0"
    return f"imaged.server={server} imaged.token={token} {consoles}"
