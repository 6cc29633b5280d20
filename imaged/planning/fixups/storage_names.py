"""The names by which storage networks know the node: iSCSI initiator, NVMe host. Two nodes of one name share a disk."""

from imaged.model.host import Identity
from imaged.model.plan import Step, WriteFile
from imaged.planning.fixups.target import Target
from imaged.planning.identity import iscsi_name, nvme_host_id

_ISCSI, _NQN, _ID = "/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostnqn", "/etc/nvme/hostid"


def storage_names(target: Target) -> tuple[Step, ...]:
    """The same at every install: what a storage box has granted them stays granted."""
    if target.host.identity is Identity.GOLDEN:
        return ()
    steps: list[Step] = []
    reason = "two hosts of one name would share a login"
    if {"/etc/iscsi", _ISCSI} & set(target.facts.files):
        name = iscsi_name(target.site, target.node.name, target.generation)
        steps.append(WriteFile(_ISCSI, f"InitiatorName={name}\n", "0600", reason))
    if {"/etc/nvme", _NQN} & set(target.facts.files):
        host = nvme_host_id(target.site, target.node.name, target.generation)
        steps.append(WriteFile(_NQN, f"nqn.2014-08.org.nvmexpress:uuid:{host}\n", reason=reason))
        steps.append(WriteFile(_ID, f"{host}\n", reason=reason))
    return tuple(steps)
