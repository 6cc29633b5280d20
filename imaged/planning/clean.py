"""What must not be in an image, whoever made or edited its tree: as steps. Pure.

It is what a capture leaves out (``planning.excludes``), for trees that nobody captured, and what building leaves.
"""

from imaged.model.plan import RemovePath, WriteFile
from imaged.planning.excludes import DEFAULT, REASONS, Kind, excludes

_MACHINE_ID = "/etc/machine-id"
_BUILDING = (
    "/var/log/*.log", "/var/log/apt/*", "/var/log/zypp/*", "/var/log/anaconda/*", "/var/log/journal/*",
    "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/log/faillog", "/usr/lib/sysimage/rpm/__db.*",
    "/var/lib/zypp/AnonymousUniqueId", "/var/lib/dnf/repos/*/countme",
)  # fmt: skip


# Logs are more than a step can say: their directories stay, in any depth; ``**`` is rsync's.
CLEAN: tuple[RemovePath | WriteFile, ...] = (
    *(
        RemovePath(rule.pattern, REASONS[rule.kind])
        for rule in excludes(DEFAULT - {Kind.LOGS})
        if not rule.keep and "**" not in rule.pattern and rule.pattern != _MACHINE_ID
    ),
    *(RemovePath(pattern, "left behind by building") for pattern in _BUILDING),
    # Empty, not absent: systemd then gives a machine that nobody fixed up one of its own (machine-id(5)).
    WriteFile(_MACHINE_ID, "", "0444", "each machine gets its own"),
)
