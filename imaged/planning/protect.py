"""Paths that an update never writes or deletes: our own list, and the lists of image, groups and node. Pure."""

from collections.abc import Iterator

from imaged.model.errors import BadInput
from imaged.model.update import Protected

_IDENTITY = "the node's own identity"
_DISKS = "the node's own disks"
_NETWORK = "the node's own network"
_BOOT = "the node's own boot loader"
_GROWN = "grown on the node"
_PEOPLE = "people's files"

# A pattern that ends with / is what is in a directory: the directory itself follows the image.
STATIC: tuple[Protected, ...] = tuple(
    Protected(pattern, reason)
    for reason, patterns in (
        (_IDENTITY, (
            "/etc/machine-id", "/etc/hostid", "/etc/ssh/ssh_host_*", "/etc/hostname", "/etc/HOSTNAME", "/etc/hosts",
            "/etc/mailname", "/etc/iscsi/initiatorname.iscsi", "/etc/nvme/host*", "/etc/krb5.keytab",
            "/etc/salt/minion_id", "/var/lib/imaged/", "/var/lib/dbus/machine-id", "/var/lib/cloud/",
            "/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret", "/var/lib/urandom/random-seed",
        )),
        (_DISKS, (
            "/etc/fstab", "/etc/mtab", "/etc/crypttab", "/etc/crypttab.initramfs", "/etc/cryptsetup-keys.d/",
            "/etc/mdadm.conf", "/etc/mdadm/mdadm.conf", "/etc/lvm/devices/", "/etc/lvm/lvmlocal.conf",
            "/etc/lvm/backup/", "/etc/lvm/archive/", "/etc/lvm/cache/", "/etc/lvm/.cache", "/etc/multipath/",
            "/lost+found/", "/swap*", "/.journal",
        )),
        (_NETWORK, (
            "/etc/resolv.conf", "/etc/netplan/", "/etc/NetworkManager/system-connections/", "/etc/systemd/network/",
            "/etc/network/interfaces", "/etc/network/interfaces.d/", "/etc/sysconfig/network",
            "/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*", "/etc/udev/rules.d/70-*",
            "/etc/sysconfig/network-scripts/route*-*", "/etc/sysconfig/network/ifroute-*", "/etc/mactab",
            "/var/lib/NetworkManager/", "/var/lib/dhcp*/",
        )),
        (_BOOT, (
            "/etc/default/grub", "/etc/default/grub.d/zz-imaged.cfg", "/etc/kernel/cmdline", "/etc/kernel/entry-token",
            "/etc/kernel/install.conf", "/etc/sysconfig/bootloader", "/etc/sysconfig/grub", "/boot/grub*/**",
            "/boot/loader/", "/boot/efi/", "/efi/", "/boot/*kdump*",
        )),
        (_GROWN, (
            "/etc/adjtime", "/var/log/", "/var/spool/", "/var/cache/", "/var/tmp/", "/var/lock/", "/var/run/",
            "/var/lib/systemd/backlight", "/var/lib/systemd/coredump", "/var/lib/systemd/linger",
            "/var/lib/systemd/network", "/var/lib/systemd/pstore", "/var/lib/systemd/rfkill", "/var/lib/systemd/timers",
            "/var/lib/systemd/timesync", "/var/lib/private/systemd", "/var/lib/nfs/", "/var/lib/ntp/",
            "/var/lib/ntpsec/", "/var/lib/chrony/", "/var/lib/locate/", "/var/lib/mlocate/", "/var/lib/plocate/",
            "/proc/", "/sys/", "/dev/", "/run/", "/tmp/", "/lib/klibc/events/",
        )),
        (_PEOPLE, ("/home/", "/srv/", "/root/.ssh/", "/mnt/", "/media/", "/cdrom/", "/floppy/")),
    )
    for pattern in patterns
)  # fmt: skip


def parse(text: str, where: str) -> Iterator[Protected]:
    """The patterns of one list: one a line, ``#`` begins a comment that is the reason of the patterns after it.

    A blank line ends the reach of a comment. Raises BadInput naming the line for a pattern that is not anchored,
    which would silently protect nothing.
    """
    reason = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line:
            reason = ""
        elif line.startswith("#"):
            reason = line.lstrip("# ")
        else:
            yield Protected(_checked(line, f"{where}, line {number}"), reason or f"listed in {where}")


def _checked(pattern: str, where: str) -> str:
    hint = "Write patterns as absolute paths, such as /etc/app/*.key or /var/lib/app/."
    if not pattern.startswith("/") or ".." in pattern.split("/") or "\0" in pattern:
        raise BadInput(f"{pattern!r} is not an absolute path", where=where, hint=hint)
    if pattern.strip("/*") == "":
        raise BadInput(f"{pattern!r} would protect the whole node from its image", where=where, hint=hint)
    return pattern


def protected(lists: tuple[tuple[str, str], ...]) -> tuple[Protected, ...]:
    """Our own list and ``lists`` of (where, text), each pattern once: who says it last gives the reason."""
    found = {each.pattern: each for each in STATIC}
    for where, text in lists:
        found.update((each.pattern, each) for each in parse(text, where))
    return tuple(found.values())
