"""The agent's recipe, read aloud: claim, look, ask for the plan, carry it out, leave. Nothing is decided here."""

import secrets
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from imaged.model.errors import ImagedError
from imaged.model.net import Mac
from imaged.model.talk import Claimed, MediumBoot
from imaged.model.wishes import Then, Wishes
from installer import breakpoint, cmdline, confirm, dmi, ending, kmsg, sshd, states, storage, telling, tree, udev, vault
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
_JOURNAL = Path("/run/imaged/install.log")
_BOOT_MAC = Path("/run/imaged/boot-mac")
_HOST_KEYS = "/etc/ssh/ssh_host_*.pub"


def main() -> int:
    """0 when all is done and the plan wants no reboot; 1 after a failure, with the reason on the screen; see ``ending``
    for a machine that stays in the ramdisk because that was wished."""
    console = Console.everywhere()
    try:
        orders = cmdline.read(Path("/proc/cmdline").read_text())
        host_key = sshd.host_key(Processes(lambda line: None).run)
        server = Server(orders.server, own_secret(), console.say, host_key=host_key)
        if orders.rescue:
            return rescue(orders, server, console)
        if orders.inventory:
            return tell(orders, server, console)
        console.say(f"asking {orders.server} what to do")
        claimed = server.claim(boot_token(orders, server))
    except ImagedError as error:
        console.failed(str(error))
        return 1
    reporter = Reporter(server, console, Journal(_JOURNAL), uptime)
    kmsg.follow(reporter.kernel.add)
    try:
        return install(orders, claimed, reporter)
    except ImagedError as error:
        return failed(reporter, str(error))
    except Exception as error:  # ours: it keeps its traceback, and the node must not hang without a word
        for line in traceback.format_exc().splitlines():
            reporter.journal.add(line)
        return failed(reporter, f"a fault of the installer itself: {error!r}")


def failed(reporter: Reporter, reason: str) -> int:
    """Tell everybody, and let the site's scripts look at what is left."""
    reporter.failed(reason)
    states.come_to("failed", reporter, Processes(reporter.journal.add).run)
    with suppress(ImagedError):
        reporter.journal.ship(reporter.server.log)
    return 1


def boot_token(orders: Orders, server: Server) -> str:
    """The one of the boot script. On a boot medium there is none: this machine asks for it by its MACs."""
    if not orders.medium:
        return orders.token
    macs = tuple(nic.mac for nic in udev.nics())
    return server.trade(MediumBoot(orders.medium, macs, dmi.smbios().uuid)).token


def rescue(orders: Orders, server: Server, console: Console) -> int:
    """Let people in; the ramdisk's init does the rest."""
    sshd.admit(server.rescue(orders.medium or orders.token).authorized_keys)
    console.say("rescue: nothing is done to this machine")
    return 0


def tell(orders: Orders, server: Server, console: Console) -> int:
    """Tell the hardware; not a byte of any disk changes."""
    processes = Processes(lambda _: None)
    inventory = storage.take(orders.boot_mac or booted_by(), processes.run, start=False)
    return telling.tell(
        server, console, orders.token, inventory,
        lambda keys: sshd.open_to(keys, processes), lambda then: ending.leave(then, processes.run),
    )  # fmt: skip


def install(orders: Orders, claimed: Claimed, reporter: Reporter) -> int:
    """Everything after the claim. Raises ImagedError at the first thing that does not go as planned."""
    processes = Processes(reporter.journal.add)
    wishes = both(claimed.wishes, orders.wishes)
    with reporter.phase("claim"):
        sshd.open_to(claimed.authorized_keys, processes)
        notice_lost_servers()
        states.come_to("installing", reporter, processes.run)
    reporter.wait = breakpoint.waits(wishes, reporter)
    with reporter.phase("inventory"):
        inventory = storage.take(orders.boot_mac or booted_by(), processes.run)
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
    target = Target(_ROOT, source, Keys(reporter.server.key), reporter.server.identity)
    then = wishes.then

    def after(phase: str) -> None:
        nonlocal then
        between(reporter.server, target.keys, phase)
        if phase == "verify":
            states.come_to("installed", reporter, processes.run, _ROOT)
            then = prepared(then, reporter, processes)
            ending.keep_log(_JOURNAL, _ROOT)
        elif phase == "unmount":  # a plan for what was here before would be refused the next time
            with suppress(ImagedError):
                reporter.server.found(storage.take(orders.boot_mac or booted_by(), processes.run))

    execute(plan, actions(target, processes, reporter, plan), reporter, after)
    return ending.leave(then, processes.run) if ends_with_reboot(plan) else 0


def both(served: Wishes, typed: Wishes) -> Wishes:
    """The server's and those of the kernel's command line, which somebody typed at this very machine."""
    return Wishes((*served.breaks, *typed.breaks), served.then if typed.then is Then.REBOOT else typed.then)


def prepared(then: Then, reporter: Reporter, processes: Processes) -> Then:
    """What needs the node's tree, before it is unmounted. A kernel that kexec cannot load is started by a reboot."""
    if then is not Then.KEXEC:
        return then
    try:
        ending.load(_ROOT, processes.run)
    except ImagedError as error:
        line = f"no kexec, the machine reboots: {error}"
        reporter.console.say(line)
        reporter.journal.add(line)
        return Then.REBOOT
    return then


def booted_by() -> Mac | None:
    """Without BOOTIF: the card by which the ramdisk got its network, as its init noted."""
    with suppress(OSError, ImagedError):
        return Mac.parse(_BOOT_MAC.read_text())
    return None


def own_secret() -> str:
    """The secret of this install. Kept in the ramdisk, so that an agent that is started again makes the same claim."""
    with suppress(FileNotFoundError):
        return _SECRET.read_text().strip()
    secret = secrets.token_urlsafe(32)
    tree.replace(_SECRET, f"{secret}\n".encode(), 0o600)
    return secret


def notice_lost_servers() -> None:
    """A server whose power failed sends no reset: without short keepalives rsync would wait two hours (tcp(7))."""
    for name, seconds in (("time", 60), ("intvl", 15), ("probes", 4)):
        with suppress(OSError):
            Path(f"/proc/sys/net/ipv4/tcp_keepalive_{name}").write_text(str(seconds))


def between(server: Server, keys: Keys, phase: str) -> None:
    """What a plan may not hold: after the image the files with keys of encrypted devices, so that the fixups find them
    for the initramfs; and once the fixups have made them, the server learns the node's ssh host keys: no first contact
    on trust, and the same keys when it is imaged again."""
    if phase == "transfer":
        keys.leave(_ROOT)
    elif phase == "fixups":
        public = "".join(path.read_text() for path in tree.matches(_ROOT, _HOST_KEYS))
        if public:
            server.host_keys(public)
            server.keep_identity(vault.collect(_ROOT))


if __name__ == "__main__":
    sys.exit(main())
