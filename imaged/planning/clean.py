"""What must not be in an image, whoever made or edited its tree: one list, as steps. Pure."""

from imaged.model.plan import RemovePath, WriteFile

# Whatever would make two installs of this image the same machine, or tells of the machine that built it.
CLEAN: tuple[RemovePath | WriteFile, ...] = (
    *(
        RemovePath(pattern, reason)
        for reason, patterns in {
            "belongs to the running kernel or to this boot": (
                "/dev/*", "/proc/*", "/sys/*", "/run/*", "/tmp/*", "/tmp/.*", "/var/tmp/*", "/var/tmp/.*",
            ),
            "the identity of one machine": (
                "/var/lib/dbus/machine-id", "/etc/machine-info", "/etc/hostid", "/etc/hostname", "/etc/HOSTNAME",
                "/etc/ssh/ssh_host_*", "/etc/dropbear/dropbear_*_host_key", "/etc/iscsi/initiatorname.iscsi",
                "/etc/nvme/hostid", "/etc/nvme/hostnqn", "/etc/ssl/private/ssl-cert-snakeoil.key",
                "/etc/ssl/certs/ssl-cert-snakeoil.pem", "/etc/pki/tls/private/localhost.key",
                "/etc/pki/tls/certs/localhost.crt", "/etc/cockpit/ws-certs.d/0-self-signed*",
                "/var/lib/zypp/AnonymousUniqueId", "/var/lib/dnf/repos/*/countme",
            ),
            "entropy must not be shared": (
                "/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret", "/var/lib/urandom/random-seed",
                "/var/lib/misc/random-seed", "/var/lib/random-seed", "/var/lib/seedrng/*",
                "/boot/efi/loader/random-seed", "/boot/loader/random-seed", "/efi/loader/random-seed",
            ),
            "the network of one machine": (
                "/etc/udev/rules.d/70-persistent-*", "/etc/iftab", "/var/lib/dhcp/*", "/var/lib/dhclient/*",
                "/var/lib/dhcpcd/*", "/var/lib/NetworkManager/*", "/var/lib/systemd/network/*", "/var/lib/wicked/*",
                "/var/lib/connman/*",
            ),
            "the disks of one machine": (
                "/etc/lvm/devices/*", "/etc/lvm/archive/*", "/etc/lvm/backup/*", "/etc/lvm/cache/*",
                "/etc/multipath/wwids", "/etc/multipath/bindings", "/etc/iscsi/nodes/*", "/etc/iscsi/send_targets/*",
                "/etc/zfs/zpool.cache", "/boot/grub/device.map", "/boot/grub2/device.map", "/boot/grub/grubenv",
                "/etc/adjtime", "/var/lib/systemd/rfkill/*", "/var/lib/systemd/backlight/*",
                "/var/lib/systemd/timers/*",
            ),
            "a registration of one machine": (
                "/etc/pki/consumer/*", "/etc/pki/entitlement/*", "/etc/zypp/credentials.d/SCC*", "/etc/SUSEConnect",
            ),
            "logs of the build": (
                "/var/log/*.log", "/var/log/apt/*", "/var/log/journal/*", "/var/log/zypp/*", "/var/log/wtmp",
                "/var/log/btmp", "/var/log/lastlog", "/var/log/faillog", "/var/log/anaconda/*", "/debootstrap",
            ),
            "caches that their owners make again": (
                "/var/lib/apt/lists/*", "/var/cache/apt/*.bin", "/var/cache/apt/archives/*.deb",
                "/var/cache/apt/archives/partial/*", "/var/cache/debconf/*-old", "/var/cache/ldconfig/*",
                "/var/lib/dpkg/*-old", "/var/cache/dnf/*", "/var/cache/libdnf5/*", "/var/cache/yum/*",
                "/var/cache/zypp/*", "/var/lib/rpm/__db.*", "/usr/lib/sysimage/rpm/__db.*", "/var/cache/pacman/pkg/*",
            ),
            "what was typed inside": ("/root/.*_history", "/root/.lesshst", "/root/.viminfo"),
        }.items()
        for pattern in patterns
    ),
    # Empty, not absent: systemd then gives a machine that nobody fixed up one of its own (machine-id(5)).
    WriteFile("/etc/machine-id", "", "0444", "each machine gets its own"),
)  # fmt: skip
