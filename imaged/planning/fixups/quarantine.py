"""Golden state that must not live on in a node: leases, seeds, device names, leftovers of the golden client."""

from imaged.model.host import Identity
from imaged.model.plan import RemovePath, Step
from imaged.planning.fixups.target import Target

# Path, and what goes wrong when it stays. virt-sysprep's and systemd's BUILDING_IMAGES lists, and our own.
_GOLDEN = (
    ("/etc/udev/rules.d/70-persistent-*", "NIC and CD names bound to the golden client's hardware"),
    ("/etc/udev/rules.d/75-persistent-net-generator.rules", "NIC names bound to the golden client's hardware"),
    ("/etc/udev/rules.d/z25_persistent-*", "NIC names bound to the golden client's hardware"),
    ("/etc/ssh/ssh_host_*", "every node would share one host key"),
    ("/var/lib/systemd/random-seed", "shared entropy"),
    ("/var/lib/systemd/credential.secret", "shared secret"),
    ("/var/lib/systemd/network/*", "leases of the golden client"),
    ("/var/lib/dhcp/*.leases", "leases of the golden client"),
    ("/var/lib/NetworkManager/*.lease", "leases of the golden client"),
    ("/var/lib/NetworkManager/internal-*", "leases of the golden client"),
    ("/var/lib/NetworkManager/timestamps", "connections of the golden client"),
    ("/var/lib/dhclient/*", "leases of the golden client"),
    ("/var/lib/dhcpcd/*", "leases and identity of the golden client"),
    ("/var/lib/wicked/*", "leases and identity of the golden client"),
    ("/etc/hostid", "shared identity"),
    ("/etc/machine-info", "name and place of the golden client"),
    ("/etc/iscsi/initiatorname.iscsi", "two hosts of one name would share a login"),
    ("/etc/nvme/hostnqn", "two hosts of one name would share a login"),
    ("/etc/nvme/hostid", "two hosts of one name would share a login"),
    ("/var/lib/NetworkManager/secret_key", "shared IPv6 identity"),
    ("/var/lib/urandom/random-seed", "shared entropy"),
    ("/var/lib/misc/random-seed", "shared entropy"),
    ("/var/lib/seedrng/*", "shared entropy"),
    ("/boot/loader/random-seed", "shared entropy"),
    ("/boot/efi/loader/random-seed", "shared entropy"),
    ("/efi/loader/random-seed", "shared entropy"),
    ("/etc/lvm/devices/*", "disk ids of the golden client: its volume groups stay invisible elsewhere"),
    ("/etc/crypttab.initramfs", "encrypted devices of the golden client: the start would wait for them"),
    ("/boot/grub/device.map", "disk names of the golden client"),
    ("/boot/grub/grubenv", "boot state of the golden client"),
    ("/boot/grub2/device.map", "disk names of the golden client"),
    ("/boot/grub2/grubenv", "boot state of the golden client"),
    ("/boot/efi/EFI/*/grubenv", "boot state of the golden client"),  # RHEL 8, which has a link to it in /boot/grub2
)


# Of these, what a node never makes itself: a later version of the image would bring it back.
_NEVER_THE_NODES = frozenset(
    ("/etc/udev/rules.d/75-persistent-net-generator.rules", "/etc/udev/rules.d/z25_persistent-*")
)


# Of these, what a node has in common with the golden client if that was said.
_IDENTITY = frozenset(
    ("/etc/ssh/ssh_host_*", "/etc/hostid", "/etc/machine-info", "/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostnqn",
     "/etc/nvme/hostid")
)  # fmt: skip


def quarantine(target: Target) -> tuple[Step, ...]:
    """Always the same list, but for a node that shall be the golden client's twin: a path that is not there is no
    fault."""
    stays = _IDENTITY if target.host.identity is Identity.GOLDEN else frozenset()
    return tuple(RemovePath(path, reason) for path, reason in _GOLDEN if path not in stays)


def quarantine_again(target: Target) -> tuple[Step, ...]:
    """On a running node most of these paths are its own by now: host keys, leases, seeds, the boot environment."""
    return tuple(step for step in quarantine(target) if isinstance(step, RemovePath) and step.path in _NEVER_THE_NODES)
