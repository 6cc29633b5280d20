"""A BMC by Redfish, through sushy: HTTPS only, and no certificate that nobody vouches for."""

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import sushy
from requests.adapters import HTTPAdapter
from requests.exceptions import SSLError
from sushy.connector import Connector

from imaged.model.errors import Denied, ImagedError, Unreachable
from imaged.model.hardware import Firmware
from imaged.model.power import PowerAccess, PowerAddress, PowerState
from imaged.planning.power import PowerStep
from imaged.power.bmc import Deadline
from imaged.power.certificate import certificate

_RESETS = {
    PowerStep.ON: sushy.RESET_ON,
    PowerStep.OFF: sushy.RESET_FORCE_OFF,
    PowerStep.SOFT: sushy.RESET_GRACEFUL_SHUTDOWN,
    PowerStep.RESET: sushy.RESET_FORCE_RESTART,
}
_STATES = {sushy.POWER_STATE_ON: PowerState.ON, sushy.POWER_STATE_OFF: PowerState.OFF}
_MODES = {Firmware.UEFI: sushy.BOOT_SOURCE_MODE_UEFI, Firmware.BIOS: sushy.BOOT_SOURCE_MODE_BIOS}
_ROOTS: Final = ("", "/redfish", "/redfish/v1")  # paths that name the service and no system of it
_LEAST: Final = 1.0  # seconds that every request may take, so that the last one of a slow BMC is not cut off at once


class _Pinned(HTTPAdapter):
    """Takes one certificate only, whoever signed it and whatever name is in it."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *words: Any, **more: Any) -> None:
        """Called by requests."""
        super().init_poolmanager(*words, assert_fingerprint=self._fingerprint, **more)


class RedfishBmc:
    """``deadline`` bounds each request and the tries of a connection."""

    def __init__(self, access: PowerAccess, firmware: Firmware, deadline: Deadline) -> None:
        self._address, self._firmware = access.address, firmware
        base = f"https://{access.address.host}:{access.address.port}"
        connector = Connector(
            base, verify=_authorities() if access.verify and not access.fingerprint else False, server_side_retries=1,
            default_request_timeout=max(deadline.left, _LEAST),
        )  # fmt: skip
        connector._session.trust_env = False  # no proxy stands between us and a BMC, and no .netrc knows better
        if access.fingerprint:
            connector._session.mount("https://", _Pinned(access.fingerprint))  # it has no other door for an adapter
        self._root: Any = self._ask(
            lambda: sushy.Sushy(base, access.address.user, access.password, connector=connector)
        )
        path = access.address.path
        try:
            self._system: Any = self._ask(self._root.get_system, None if path in _ROOTS else path)
        except ImagedError:
            self.close()
            raise

    def state(self) -> PowerState:
        """The system's PowerState."""
        self._ask(self._system.refresh)
        return _STATES.get(self._system.power_state, PowerState.UNKNOWN)

    def do(self, step: PowerStep) -> None:
        """ComputerSystem.Reset, or BootSourceOverride for one start."""
        if step is not PowerStep.NETWORK:
            self._ask(self._system.reset_system, _RESETS[step])
            return
        # The mode only where it is another one: there are BMCs that refuse it as such.
        mode = _MODES[self._firmware]
        self._ask(
            self._system.set_system_boot_options, target=sushy.BOOT_SOURCE_TARGET_PXE,
            enabled=sushy.BOOT_SOURCE_ENABLED_ONCE, mode=mode if self._system.boot.get("mode") != mode else None,
        )  # fmt: skip

    def close(self) -> None:
        """End the session."""
        with suppress(sushy.exceptions.SushyError):  # it ends by itself
            self._root._auth.close()

    def _ask(self, question: Callable[..., Any], *words: Any, **more: Any) -> Any:
        where = str(self._address)
        try:
            return question(*words, **more)
        except sushy.exceptions.AccessError:
            raise Denied("user or password is refused", where=where, hint="Say another: imaged setpower.") from None
        except sushy.exceptions.ConnectionError as error:
            if isinstance(error.__context__, SSLError):
                raise _distrust(self._address) from None
            raise Unreachable("no answer", where=where) from None
        except sushy.exceptions.SushyError as error:
            raise ImagedError(f"the BMC says: {getattr(error, 'detail', None) or error}", where=where) from None


def _authorities() -> str | bool:
    """Those of this server, where the site's own is added too; requests would bring a list of its own."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _distrust(address: PowerAddress) -> Denied:
    """What to do about it depends on what it shows."""
    shown = certificate(address, timeout=5.0)
    hint = f"If it is the BMC's: imaged setpower NODE {address} --fingerprint {shown}"
    return Denied("nobody vouches for its certificate", where=str(address), hint=hint)
