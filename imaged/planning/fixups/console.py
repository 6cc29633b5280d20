"""A login on the node's serial console, where the system does not start one by itself."""

import re

from imaged.model.plan import Step, WriteFile
from imaged.planning.fixups.target import Target

_LINE = re.compile(r"(tty[A-Za-z]+\d*)(?:,(\d+))?")


def console_getty(target: Target) -> tuple[Step, ...]:
    """systemd starts one on every console of the command line (systemd-getty-generator(8)); init reads inittab(5).

    busybox's init has the terminal where sysvinit has a name of four letters. securetty(5) says where root may log in.
    """
    found = _LINE.match(target.console)
    if not found:
        return ()
    name, speed = found[1], found[2] or "115200"
    steps: list[Step] = []
    text = target.facts.texts.get("/etc/inittab", "")
    if text and "systemctl" not in target.facts.commands:
        kept = [line for line in text.splitlines() if line.lstrip().startswith("#") or name not in line]
        sysv = any(re.match(r"\w{1,4}:[0-9sS]+:", line) for line in kept)
        line = f"{name[-4:]}:2345:respawn:/sbin/getty -L {name} {speed} vt100"
        line = line if sysv else f"{name}::respawn:/sbin/getty -L {speed} {name} vt100"
        steps.append(WriteFile("/etc/inittab", "\n".join((*kept, line)) + "\n", reason="the node's console"))
    lines = target.facts.texts.get("/etc/securetty", "").splitlines()
    if lines and name not in lines:
        steps.append(WriteFile("/etc/securetty", "\n".join((*lines, name)) + "\n", reason="the node's console"))
    return tuple(steps)
