"""Which reader a roster's file is for: as a person says, or by how the file looks. Pure."""

import re
from enum import Enum

from imaged.model.errors import BadInput
from imaged.planning.roster.c3 import c3
from imaged.planning.roster.dhcpd import dhcpd
from imaged.planning.roster.entries import Roster
from imaged.planning.roster.lines import ethers, hosts
from imaged.planning.roster.ours import values
from imaged.planning.roster.systemimager import cluster_xml


class Form(Enum):
    """Files that nodes can be read from."""

    AUTO = "auto"
    CSV = "csv"
    ETHERS = "ethers"
    HOSTS = "hosts"
    DHCPD = "dhcpd"
    C3 = "c3"
    CLUSTER_XML = "cluster.xml"


_READERS = {
    Form.CSV: values, Form.ETHERS: ethers, Form.HOSTS: hosts, Form.DHCPD: dhcpd, Form.C3: c3,
    Form.CLUSTER_XML: cluster_xml,
}  # fmt: skip
_LOOKS = (
    (Form.CLUSTER_XML, re.compile(r"\s*<")),
    (Form.C3, re.compile(r"(\s|#[^\n]*\n)*cluster\s+\S+\s*\{")),
    (Form.DHCPD, re.compile(r".*\bhost\s+\S+\s*\{", re.DOTALL)),
    (Form.ETHERS, re.compile(r"(\s|#[^\n]*\n)*([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}\s")),
    (Form.HOSTS, re.compile(r"(\s|#[^\n]*\n)*(\d+\.){3}\d+\s|(\s|#[^\n]*\n)*[0-9a-f]*::")),
    (Form.CSV, re.compile(r"[^\n]*\bname\b")),
)


def read(text: str, form: Form, where: str) -> Roster:
    """Raises BadInput with ``where`` and, where there is one, the line."""
    if form is Form.AUTO:
        found = [each for each, looks in _LOOKS if looks.match(text)]
        if not found:
            raise BadInput("cannot tell what kind of file this is", where=where, hint="Say so: --from.")
        form = found[0]
    try:
        return _READERS[form](text)
    except BadInput as error:
        raise BadInput(error.what, where=where, hint=error.hint) from None
