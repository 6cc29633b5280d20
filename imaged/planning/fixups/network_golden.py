"""What the golden client's own network leaves in an image, and would start again on every node."""

from imaged.model.plan import RemovePath, RunInTarget, Step
from imaged.planning.fixups.network_ifupdown import INTERFACES, loopback
from imaged.planning.fixups.target import Target

_REASON = "the golden client's own network"
_SYSCONFIG, _SCRIPTS = "/etc/sysconfig/network", "/etc/sysconfig/network-scripts"
# Kinds of links that a file may set up and that stay: they are no cable of the golden client's.
_STAY = ("loopback", "other", "plugin")


def golden_network(target: Target) -> tuple[Step, ...]:
    """For an install only: on a running node such a file is somebody's own.

    ``facts.links`` says what each file sets up; those for what is no wire (VPNs, Wi-Fi) stay. Whatever the renderer,
    as two of them would fight for one NIC.
    """
    steps: list[Step] = []
    for path, kind in sorted(target.facts.links.items()):
        if kind in _STAY:
            continue
        steps.append(loopback() if path == INTERFACES else RemovePath(path, _REASON))
    if {_SCRIPTS, _SYSCONFIG} <= set(target.facts.files):  # without the first the other is a directory
        argv = ("sed", "-i", "-E", r"/^(GATEWAY|GATEWAYDEV|IPV6_DEFAULTGW|IPV6_DEFAULTDEV|HOSTNAME)=/d", _SYSCONFIG)
        steps.append(RunInTarget(argv, reason=_REASON))
    return tuple(steps)
