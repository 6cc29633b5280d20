"""Which certificates BMCs show, before anybody trusts them."""

import hashlib
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from imaged.model.errors import Unreachable
from imaged.model.power import PowerAddress

_FANOUT: Final = 32


def certificates(addresses: Mapping[str, PowerAddress], timeout: float) -> dict[str, str]:
    """Those of many, under the same names. Raises Unreachable for the first that shows none."""
    with ThreadPoolExecutor(_FANOUT) as pool:
        shown = pool.map(lambda address: certificate(address, timeout), addresses.values())
        return dict(zip(addresses, shown, strict=True))


def certificate(address: PowerAddress, timeout: float) -> str:
    """The SHA-256 of the certificate that a BMC shows. Raises Unreachable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address.bare_host, address.port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=address.bare_host) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
    except OSError as error:
        raise Unreachable(f"shows no certificate: {error}", where=str(address)) from None
    return hashlib.sha256(shown or b"").hexdigest()
