"""Steps of a plan for UEFI: what comes onto EFI system partitions (ESPs), and what the firmware is told."""

from attrs import frozen


@frozen
class InstallGrub:
    """Run the image's grub-install for UEFI (``argv``) into a new directory of the EFI system partition mounted at
    ``esp``. What it made there then takes its place, file by file, each whole at every moment."""

    esp: str
    argv: tuple[str, ...]
    reason: str = ""


@frozen
class MirrorEsp:
    """Make the other EFI system partitions hold what is below ``source``, the mounted one. ``devices`` as mount(8)
    takes them: paths in /dev, or ``UUID=``. ``check``: nothing is written, and it fails unless they do."""

    source: str
    devices: tuple[str, ...]
    check: bool = False


@frozen
class SetBootEntries:
    """Make the firmware know the installed loader (UEFI 2.10, 3.1): one entry for each of ``devices`` (ESPs), named
    ``label`` and a number, for the program ``loader`` (a path on the ESP).

    Entries of that label that differ, or are there twice, go; equal ones stay as they are. ``network_first``: the
    network's entries come before ours, else ours come first. ``required``: without the entry the machine does not
    start; otherwise what the firmware refuses is only told.
    """

    label: str
    loader: str
    devices: tuple[str, ...]
    network_first: bool = True
    required: bool = False
