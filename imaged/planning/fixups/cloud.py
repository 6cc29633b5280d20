"""cloud-init: left alone it writes the network anew at the first boot, makes new host keys and adds a user."""

from imaged.model.host import CloudInit
from imaged.model.plan import RemovePath, Step, WriteFile
from imaged.planning.fixups.target import Target

_DISABLED = "/etc/cloud/cloud-init.disabled"
_SEED = "/var/lib/cloud/seed/nocloud"
_CONFIG = """\
# Written when the node was installed: the node itself is the only source, and what is the node's own stays.
datasource_list: [NoCloud, None]
network: {config: disabled}
preserve_hostname: true
manage_etc_hosts: false
ssh_deletekeys: false
"""
# What it remembers of the golden client's instance (cloud-init clean).
_STATE = ("/var/lib/cloud/instance", "/var/lib/cloud/instances/*", "/var/lib/cloud/data/*", "/var/lib/cloud/sem/*")


def cloud_init(target: Target) -> tuple[Step, ...]:
    """Off, unless it was said to run once with what we know of the node (the NoCloud data source), or as it was."""
    wanted = target.host.cloud_init or CloudInit.OFF
    if "/etc/cloud" not in target.facts.files or wanted is CloudInit.IMAGE:
        return ()
    if wanted is CloudInit.OFF:
        return (WriteFile(_DISABLED, "Nodes are set up by imaged.\n", reason="it would set up the node once more"),)
    meta = f"instance-id: {target.machine_id}\nlocal-hostname: {target.node.name}\n"
    reason = "it runs once, with what is known of the node"
    return (
        RemovePath(_DISABLED, reason),
        WriteFile("/etc/cloud/cloud.cfg.d/99-imaged.cfg", _CONFIG, reason=reason),
        WriteFile(f"{_SEED}/meta-data", meta, reason=reason),
        WriteFile(f"{_SEED}/user-data", "#cloud-config\n{}\n", "0600", reason),
    )


def cloud_state(target: Target) -> tuple[Step, ...]:
    """For an install only: on a running node it is the node's own."""
    if "/etc/cloud" not in target.facts.files or target.host.cloud_init is CloudInit.IMAGE:
        return ()
    return tuple(RemovePath(path, "cloud-init would take the node for the golden client") for path in _STATE)
