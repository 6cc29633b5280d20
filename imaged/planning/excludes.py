"""What of a golden client must not become part of an image: one table, by kind, each pattern with its reason. Pure.

Patterns are rsync's (rsync(1), PATTERN MATCHING RULES), all anchored. ``/x/*`` keeps the directory itself with its
owner and mode: daemons expect it. Nothing is removed on the golden client; it is only not copied.
"""

from enum import Enum

from attrs import frozen


class Kind(Enum):
    """Why something is left out. A capture can be told to take a kind after all."""

    KERNEL = "kernel"
    SCRATCH = "scratch"
    BOOT = "boot"
    IDENTITY = "identity"
    LEASES = "leases"
    SEEDS = "seeds"
    STORAGE = "storage"
    LOGS = "logs"
    CACHES = "caches"
    HISTORY = "history"
    SUBSCRIPTIONS = "subscriptions"
    SERVICES = "services"
    APPLICATIONS = "applications"


REASONS = {
    Kind.KERNEL: "belongs to the running kernel or to this boot",
    Kind.SCRATCH: "temporary files",
    Kind.BOOT: "what the boot loader noted of this machine",
    Kind.IDENTITY: "makes this machine itself: every node gets its own",
    Kind.LEASES: "the network of this one machine",
    Kind.SEEDS: "randomness must not be shared",
    Kind.STORAGE: "names the disks of this one machine",
    Kind.LOGS: "tells of this machine's past; directories are kept",
    Kind.CACHES: "made again when needed",
    Kind.HISTORY: "what people typed here",
    Kind.SUBSCRIPTIONS: "a licence or registration of this one machine",
    Kind.SERVICES: "this machine's membership in a service",
    Kind.APPLICATIONS: "the identity of an application on this one machine",
}
# Left out unless told otherwise. The rest is the admin's to decide: a golden client may hold it on purpose.
DEFAULT = frozenset(Kind) - {Kind.SERVICES, Kind.APPLICATIONS}
# Whatever is asked for, this is never part of a tree: it exists only while the kernel runs.
ALWAYS = frozenset({Kind.KERNEL})


@frozen
class Exclude:
    """One rule of rsync's for something left out; ``keep`` makes it an exception (``+``) to those that follow."""

    kind: Kind
    pattern: str
    keep: bool = False

    @property
    def rule(self) -> str:
        """As in a filter file."""
        return f"{'+' if self.keep else '-'} {self.pattern}"


def excludes(kinds: frozenset[Kind]) -> tuple[Exclude, ...]:
    """Rules of these kinds, in the order in which rsync must see them: the first that matches decides."""
    return tuple(rule for rule in _TABLE if rule.kind in kinds)


_PATTERNS = {
    Kind.KERNEL: ("/proc/*", "/sys/*", "/dev/*", "/run/*", "/selinux/*", "/var/lib/nfs/rpc_pipefs/*"),
    Kind.SCRATCH: (
        "/tmp/*", "/var/tmp/*", "/mnt/*/*", "/media/*", "/cdrom/*", "/lost+found", "/**/lost+found",
        "/.snapshots/*", "/**/.snapshots/*",
        "/var/lock/*", "/var/crash/*", "/var/lib/systemd/coredump/*", "/var/lib/apport/coredump/*", "/.autofsck",
        "/var/spool/abrt/*", "/core", "/debootstrap",
    ),
    Kind.BOOT: (
        "/boot/grub/device.map", "/boot/grub2/device.map", "/boot/grub/grubenv", "/boot/initramfs-*kdump.img",
        "/boot/initrd-*kdump",
    ),
    Kind.IDENTITY: (
        "/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/machine-info", "/etc/hostid", "/etc/hostname",
        "/etc/HOSTNAME", "/etc/ssh/ssh_host_*", "/etc/dropbear/dropbear_*_host_key", "/etc/system-id",
        "/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem",
        "/etc/pki/tls/private/localhost.key", "/etc/pki/tls/certs/localhost.crt",
        "/etc/cockpit/ws-certs.d/0-self-signed*",
        "/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostid", "/etc/nvme/hostnqn", "/var/lib/cloud/*",
        "/var/lib/imaged/*",
    ),
    Kind.LEASES: (
        "/var/lib/dhcp/*", "/var/lib/dhcp3/*", "/var/lib/dhclient/*", "/var/lib/dhcpcd/*", "/var/lib/dhcpcd5/*",
        "/var/lib/NetworkManager/*", "/var/lib/systemd/network/*", "/var/lib/wicked/*", "/var/lib/connman/*",
        "/etc/udev/rules.d/70-persistent-*", "/etc/udev/rules.d/75-persistent-net-generator.rules",
        "/etc/udev/rules.d/z25_persistent-net.rules", "/etc/udev/rules.d/z45_persistent-net-generator.rules",
        "/etc/iftab", "/var/lib/nfs/statd/sm/*", "/var/lib/nfs/statd/sm.bak/*", "/var/lib/nfs/sm/*",
        "/var/lib/nfs/sm.bak/*", "/var/lib/nfs/statd/state", "/var/lib/nfs/state", "/var/lib/nfs/*tab",
        "/var/lib/nfs/v4recovery/*",
    ),
    Kind.SEEDS: (
        "/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret", "/var/lib/urandom/random-seed",
        "/var/lib/random-seed", "/var/lib/misc/random-seed", "/var/lib/seedrng/*", "/var/lib/chrony/drift",
        "/var/lib/ntp/ntp.drift", "/boot/efi/loader/random-seed", "/boot/loader/random-seed", "/efi/loader/random-seed",
    ),
    Kind.STORAGE: (
        "/etc/lvm/devices/*", "/etc/lvm/archive/*", "/etc/lvm/backup/*", "/etc/lvm/cache/*", "/etc/lvm/.cache",
        "/etc/blkid.tab", "/etc/blkid.tab.old", "/etc/blkid/blkid.tab", "/etc/multipath/wwids",
        "/etc/multipath/bindings", "/etc/iscsi/nodes/*", "/etc/iscsi/send_targets/*", "/var/lib/iscsi/*",
        "/etc/zfs/zpool.cache", "/var/lib/mdadm/*", "/etc/adjtime", "/var/lib/systemd/rfkill/*",
        "/var/lib/systemd/backlight/*", "/var/lib/systemd/timers/*", "/var/lib/systemd/timesync/*",
    ),
    Kind.CACHES: (
        "/var/cache/apt/*.bin", "/var/cache/apt/archives/*.deb", "/var/cache/apt/archives/partial/*",
        "/var/lib/apt/lists/*", "/var/cache/dnf/*", "/var/cache/libdnf5/*", "/var/cache/yum/*", "/var/cache/zypp/*",
        "/var/cache/pacman/pkg/*", "/var/cache/PackageKit/*", "/var/lib/PackageKit/*", "/var/cache/man/*",
        "/var/cache/fontconfig/*", "/var/cache/debconf/*-old", "/var/cache/ldconfig/*", "/var/lib/dpkg/*-old",
        "/var/lib/rpm/__db.*", "/var/lib/mlocate/*", "/var/lib/plocate/*", "/var/lib/locate/*",
    ),
    Kind.HISTORY: ("/root/.*_history", "/home/*/.*_history", "/root/.lesshst", "/home/*/.lesshst", "/root/.viminfo"),
    Kind.SUBSCRIPTIONS: (
        "/etc/pki/consumer/*", "/etc/pki/entitlement/*", "/etc/sysconfig/rhn/systemid",
        "/etc/zypp/credentials.d/SCC*", "/etc/SUSEConnect", "/var/lib/ubuntu-advantage/private/*",
    ),
    Kind.SERVICES: (
        "/etc/krb5.keytab", "/var/lib/sss/db/*", "/var/lib/sss/secrets/*", "/var/lib/samba/private/*",
        "/etc/ipa/*", "/etc/puppet/ssl/*", "/etc/puppetlabs/puppet/ssl/*", "/var/lib/puppet/ssl/*",
        "/etc/salt/minion_id", "/etc/salt/pki/minion/*", "/etc/chef/client.pem", "/etc/wireguard/*",
        "/var/lib/tailscale/*", "/var/lib/zerotier-one/identity.*",
    ),
    Kind.APPLICATIONS: (
        "/var/lib/mysql/auto.cnf", "/var/lib/rabbitmq/.erlang.cookie", "/var/lib/glusterd/glusterd.info",
        "/var/lib/ceph/*/*/keyring", "/var/lib/kubelet/pki/*", "/etc/kubernetes/pki/*", "/etc/docker/key.json",
        "/var/lib/docker/engine-id", "/var/lib/elasticsearch/nodes/*/node.lock", "/var/lib/etcd/member/*",
        "/etc/corosync/authkey",
    ),
}  # fmt: skip
# Logs want their directories (with owners) but not their files; the journal's are named after the machine-id.
_LOGS = (
    Exclude(Kind.LOGS, "/var/log/journal/*"),
    Exclude(Kind.LOGS, "/var/log/**/", keep=True),
    Exclude(Kind.LOGS, "/var/log/**"),
    *(Exclude(Kind.LOGS, path) for path in ("/var/spool/mail/*", "/var/mail/*", "/var/account/*", "/etc/utmp")),
)
_TABLE = (*(Exclude(kind, pattern) for kind, patterns in _PATTERNS.items() for pattern in patterns), *_LOGS)
