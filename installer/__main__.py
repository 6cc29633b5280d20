"""The agent's recipe, read aloud: claim, look, ask for the plan, carry it out, leave. Nothing is decided here."""

import os
import secrets
import sys
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path

from imaged.model.errors import ImagedError
from imaged.model.report import Claimed
from installer import cmdline, confirm, storage, tree
from installer.cmdline import Orders
from installer.console import Console, uptime
from installer.crypts import Keys
from installer.execute import Target, actions, ends_with_reboot, execute
from installer.process import Processes
from installer.reports import Journal, Reporter
from installer.server import Server
from installer.transfer import Source

_ROOT = Path("/target")
_SECRET = Path("/run/imaged/secret")
_AUTHORIZED_KEYS = Path("/root/.ssh/authorized_keys")
_HOST_KEYS = "/etc/ssh/ssh_host_*.pub"


def main() -> int:
    """0 when all is done and the plan wants no reboot; 1 after a failure, with the reason on the screen."""
    console = Console.everywhere()
    try:
        orders = cmdline.read(Path("/proc/cmdline").read_text())
        server = Server(orders.server, own_secret(), console.say)
        console.say(f"asking {orders.server} what to do")
        claimed = server.claim(orders.token)
    except ImagedError as error:
        console.failed(str(error))
        return 1
    reporter = Reporter(server, console, Journal(), uptime)
    try:
        install(orders, claimed, reporter)
    except ImagedError as error:
        reporter.failed(str(error))
        return 1
    except Exception as error:  # ours: it keeps its traceback, and the node must not hang without a word
        for line in traceback.format_exc().splitlines():
            reporter.journal.add(line)
        reporter.failed(f"a fault of the installer itself: {error!r}")
        return 1
    return 0


def install(orders: Orders, claimed: Claimed, reporter: Reporter) -> None:
    """Everything after the claim. Raises ImagedError at the first thing that does not go as planned."""
    processes = Processes(reporter.journal.add)
    with reporter.phase("claim"):
        admit(claimed.authorized_keys)
        notice_lost_servers()
    with reporter.phase("inventory"):
        inventory = storage.take(orders.boot_mac, processes.run)
    with reporter.phase("plan"):
        answer = reporter.server.plan(inventory)
        plan = answer.plan
        reporter.journal.add(f"plan {answer.hash}: {plan.image} with layout {plan.layout} for {plan.node}")
        for line in (*(f"lost: {each}" for each in plan.lost), *(f"kept: {each}" for each in plan.kept)):
            reporter.console.say(line)
            reporter.journal.add(line)
        for disk in confirm.disks_of(plan):
            confirm.confirm(disk, inventory.disks)
        _ROOT.mkdir(exist_ok=True)
    source = Source(orders.host, claimed.rsync_port, claimed.node, reporter.server.secret)
    target = Target(_ROOT, source, Keys(reporter.server.key))
    execute(plan, actions(target, processes, reporter, plan), reporter, partial(between, reporter.server, target.keys))
    if ends_with_reboot(plan):
        leave(processes)


def own_secret() -> str:
    """The secret of this install. Kept in the ramdisk, so that an agent that is started again makes the same claim."""
    with suppress(FileNotFoundError):
        return _SECRET.read_text().strip()
    secret = secrets.token_urlsafe(32)
    tree.replace(_SECRET, f"{secret}\n".encode(), 0o600)
    return secret


def admit(keys: tuple[str, ...]) -> None:
    """Let the admins in by ssh, should it be needed."""
    if keys:
        tree.replace(_AUTHORIZED_KEYS, "".join(f"{key}\n" for key in keys).encode(), 0o600)
        _AUTHORIZED_KEYS.parent.chmod(0o700)


def notice_lost_servers() -> None:
    """A server whose power failed sends no reset: without short keepalives rsync would wait two hours (tcp(7))."""
    for name, seconds in (("time", 60), ("intvl", 15), ("probes", 4)):
        with suppress(OSError):
            Path(f"/proc/sys/net/ipv4/tcp_keepalive_{name}").write_text(str(seconds))


def between(server: Server, keys: Keys, phase: str) -> None:
    """What a plan may not hold: after the image the files with keys of encrypted devices, so that the fixups find them
    for the initramfs; and once the fixups have made them, the server learns the node's ssh host keys: no first contact
    on trust."""
    if phase == "transfer":
        keys.leave(_ROOT)
    elif phase == "fixups":
        public = "".join(path.read_text() for path in tree.matches(_ROOT, _HOST_KEYS))
        if public:
            server.host_keys(public)


def leave(processes: Processes) -> None:
    """Restart the machine without an init to ask. Raises CommandFailed when it does not."""
    os.sync()
    processes.run(("reboot", "-f"))


if __name__ == "__main__":
    sys.exit(main())
