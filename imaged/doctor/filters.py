"""Reads the rules of nftables and iptables."""

import os

from imaged import process
from imaged.model.errors import CommandFailed, Denied
from imaged.planning.doctor.firewall import Rules, read_iptables, read_nft, together

_OLDER = "iptables-legacy tables present"  # says iptables-save where there are rules that it does not show
_ENVIRONMENT = {"PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"}


def rules() -> Rules:
    """All that there are. Raises Denied where only root may see them."""
    if os.geteuid() != 0:
        raise Denied("only root may see the rules of packet filters")
    found = read_nft(_said("nft", "-j", "list", "ruleset"))
    iptables = _said("iptables-save")
    found = together(found, read_iptables(iptables))
    if _OLDER in iptables:
        found = together(found, read_iptables(_said("iptables-legacy-save"), "legacy filter"))
    return found


def _said(*argv: str) -> str:
    """Nothing where the program is not there: then it made no rules either."""
    try:
        done = process.run(argv, check=False, timeout=30, env=_ENVIRONMENT)
    except CommandFailed:
        return ""
    return f"{done.output}\n{done.errors}" if _OLDER in done.errors else done.output
