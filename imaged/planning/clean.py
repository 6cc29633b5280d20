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
                "/var/lib/dbus/machine-id", "/etc/machine-info", "/etc/hostid", "/etc/hostname",
                "/etc/ssh/ssh_host_*", "/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostid", "/etc/nvme/hostnqn",
                "/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem",
            ),
            "entropy must not be shared": (
                "/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret", "/var/lib/urandom/random-seed",
                "/var/lib/seedrng/*", "/boot/efi/loader/random-seed", "/boot/loader/random-seed",
            ),
            "the network of one machine": (
                "/etc/udev/rules.d/70-persistent-*", "/var/lib/dhcp/*", "/var/lib/NetworkManager/*",
                "/var/lib/systemd/network/*",
            ),
            "the disks of one machine": (
                "/etc/lvm/devices/*", "/etc/lvm/archive/*", "/etc/lvm/backup/*", "/boot/grub/device.map",
                "/boot/grub/grubenv", "/etc/adjtime",
            ),
            "logs of the build": (
                "/var/log/*.log", "/var/log/apt/*", "/var/log/journal/*", "/var/log/wtmp", "/var/log/btmp",
                "/var/log/lastlog", "/var/log/faillog", "/debootstrap",
            ),
            "caches that their owners make again": (
                "/var/lib/apt/lists/*", "/var/cache/apt/*.bin", "/var/cache/apt/archives/*.deb",
                "/var/cache/debconf/*-old", "/var/cache/ldconfig/*", "/var/lib/dpkg/*-old", "/root/.bash_history",
            ),
        }.items()
        for pattern in patterns
    ),
    # Empty, not absent: systemd then gives a machine that nobody fixed up one of its own (machine-id(5)).
    WriteFile("/etc/machine-id", "", "0444", "each machine gets its own"),
)  # fmt: skip
