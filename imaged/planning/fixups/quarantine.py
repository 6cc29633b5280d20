"""Golden state that must not live on in a node: leases, seeds, device names, leftovers of the golden client."""

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
    ("/var/lib/NetworkManager/secret_key", "shared IPv6 identity"),
    ("/var/lib/urandom/random-seed", "shared entropy"),
    ("/etc/lvm/devices/*", "disk ids of the golden client: its volume groups stay invisible elsewhere"),
    ("/boot/grub/device.map", "disk names of the golden client"),
    ("/boot/grub/grubenv", "boot state of the golden client"),
    ("/boot/grub2/device.map", "disk names of the golden client"),
    ("/boot/grub2/grubenv", "boot state of the golden client"),
)


# Of these, what a node never makes itself: a later version of the image would bring it back.
_NEVER_THE_NODES = frozenset(
    ("/etc/udev/rules.d/75-persistent-net-generator.rules", "/etc/udev/rules.d/z25_persistent-*")
)


def quarantine(_target: Target) -> tuple[Step, ...]:
    """Always the same list: a path that is not there is no fault."""
    return tuple(RemovePath(path, reason) for path, reason in _GOLDEN)


def quarantine_again(target: Target) -> tuple[Step, ...]:
    """On a running node most of these paths are its own by now: host keys, leases, seeds, the boot environment."""
    return tuple(step for step in quarantine(target) if isinstance(step, RemovePath) and step.path in _NEVER_THE_NODES)
