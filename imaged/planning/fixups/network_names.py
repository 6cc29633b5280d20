"""Names of NICs, by permanent MAC: what a NIC is called in the ramdisk depends on udev's version there.

(systemd.net-naming-scheme(7).) Bond members show their bond's MAC, so nothing goes by the current one.
"""

from attrs import evolve

from imaged.model.plan import Step, WriteFile
from imaged.planning.network import Link, Wiring

_REASON = "a name that does not depend on udev's version"
RULES = "/etc/udev/rules.d/70-persistent-net.rules"
MACTAB = "/etc/mactab"


def link_files(wired: Wiring) -> tuple[Step, ...]:
    """systemd.link(5), read by udev, also where systemd-networkd does not run."""
    return tuple(
        WriteFile(
            f"/etc/systemd/network/10-imaged-{link.name}.link",
            f"[Match]\n{_match(link)}\n\n[Link]\nName={link.name}\n",
            reason=_REASON,
        )
        for link in wired.links
        if link.rename
    )


def path_files(wired: Wiring) -> tuple[Step, ...]:
    """Of those NICs only that are found by where they are plugged in: only udev's own files can say that."""
    return link_files(evolve(wired, links=tuple(link for link in wired.links if link.path)))


def udev_rules(wired: Wiring) -> tuple[Step, ...]:
    """udev(7), for udev older than 245, which knows no permanent MAC in .link files. Virtual links have no driver.

    At 70, ID_PATH is not known yet: where a NIC is plugged in is for a .link file.
    """
    lines = [
        f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{link.mac}", ATTR{{type}}=="1", '
        f'NAME="{link.name}"'
        for link in wired.links
        if link.rename and link.mac
    ]
    rules = (WriteFile(RULES, "\n".join(lines) + "\n", reason=_REASON),) if lines else ()
    return (*rules, *path_files(wired))


def mactab(wired: Wiring) -> tuple[Step, ...]:
    """nameif(8) of BusyBox, which its mdev runs for every NIC where there is no udev."""
    lines = [f"{link.name} {link.mac}" for link in wired.links if link.rename and link.mac]
    return (WriteFile(MACTAB, "\n".join(lines) + "\n", reason=_REASON),) if lines else ()


def _match(link: Link) -> str:
    return f"PermanentMACAddress={link.mac}" if link.mac else f"Path={link.path}"
