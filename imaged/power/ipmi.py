"""A BMC by IPMI 2.0 (RMCP+), through pyghmi. All its sessions share one loop: a process may have one of them."""

import socket
from contextlib import suppress
from typing import Any

from pyghmi.exceptions import PyghmiException
from pyghmi.ipmi.command import Command

from imaged.model.errors import Denied, ImagedError, Unreachable
from imaged.model.hardware import Firmware
from imaged.model.power import PowerAccess, PowerState
from imaged.planning.power import PowerStep
from imaged.power.bmc import Deadline

_WORDS = {PowerStep.ON: "on", PowerStep.OFF: "off", PowerStep.SOFT: "shutdown", PowerStep.RESET: "reset"}
# As pyghmi puts the status codes of RAKP messages (IPMI 2.0, table 13-15) that are about who asks.
_DENIALS = ("incorrect password", "unauthorized", "invalid role", "invalid username", "invalid user name", "rakp4")


class IpmiBmc:
    """Raises Unreachable where nothing answers until ``deadline``: pyghmi itself gives up after five seconds."""

    def __init__(self, access: PowerAccess, firmware: Firmware, deadline: Deadline) -> None:
        self._address, self._firmware = access.address, firmware
        while True:
            try:
                self._command: Any = Command(
                    bmc=access.address.bare_host, userid=access.address.user, password=access.password,
                    port=access.address.port,
                )  # fmt: skip
                return
            except PyghmiException as error:
                fault = self._fault(error)
                if not isinstance(fault, Unreachable) or not deadline.left:
                    raise fault from None
            except (socket.gaierror, UnicodeError):  # the latter: no host name at all
                raise Unreachable("its name is not known", where=str(self._address)) from None

    def state(self) -> PowerState:
        """Chassis status."""
        return PowerState(self._ask(self._command.get_power)["powerstate"])

    def do(self, step: PowerStep) -> None:
        """Chassis control, or the boot flags of one start."""
        if step is PowerStep.NETWORK:
            self._ask(self._command.set_bootdev, "network", uefiboot=self._firmware is Firmware.UEFI)
        else:
            self._ask(self._command.set_power, _WORDS[step])

    def close(self) -> None:
        """Log out."""
        with suppress(PyghmiException, OSError):  # it ends by itself, a minute later
            self._command.ipmi_session.logout()

    def _ask(self, question: Any, *words: Any, **more: Any) -> Any:
        try:
            return question(*words, **more)
        except PyghmiException as error:
            raise self._fault(error) from None

    def _fault(self, error: PyghmiException) -> ImagedError:
        said = str(error)
        where = str(self._address)
        if any(word in said.lower() for word in _DENIALS):
            return Denied(f"user or password is refused ({said})", where=where, hint="Say another: imaged setpower.")
        if said in ("", "None", "timeout", "Session no longer connected"):
            return Unreachable("no answer", where=where)
        return ImagedError(f"the BMC says: {said}", where=where)
