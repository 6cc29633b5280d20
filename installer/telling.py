"""A machine that tells its hardware and is not installed: told, waited if it is to wait, left."""

from collections.abc import Callable

from imaged.model.errors import Unreachable
from imaged.model.hardware import Inventory
from imaged.model.machine import Next
from imaged.model.talk import Told, ToldAnswer
from imaged.model.wishes import Then
from installer.console import Console
from installer.server import Server

_AGAIN = 15.0  # seconds between two questions of a machine that waits for a name
_THEN = {Next.REBOOT: Then.REBOOT, Next.SHUTDOWN: Then.SHUTDOWN}


def tell(
    server: Server,
    console: Console,
    token: str,
    inventory: Inventory,
    let_in: Callable[[tuple[str, ...]], None],
    leave: Callable[[Then], int],
) -> int:
    """The agent's exit code. ``let_in`` gets the keys of those who may come in meanwhile. Raises ImagedError."""
    console.say("inventory: nothing is done to this machine")
    for each in (*inventory.disks, *(f"{nic.name} {nic.mac}" for nic in inventory.nics)):
        console.say(f"inventory: {each}")
    answer = server.tell(Told(token, inventory))
    let_in(answer.authorized_keys)
    if answer.then is Next.WAIT:
        console.say(f"inventory: told; waiting for a name (imaged approve {inventory.boot_mac or '...'})")
    while answer.then is Next.WAIT:
        server.sleep(_AGAIN)
        answer = _asked_again(server, answer)
    console.say(f"inventory: told; {answer.then.value}{f' as {answer.node}' if answer.node else ''}")
    return leave(_THEN[answer.then])


def _asked_again(server: Server, last: ToldAnswer) -> ToldAnswer:
    """A server that is away for long ends no wait."""
    try:
        return server.tell(Told(last.token))
    except Unreachable:
        return last
