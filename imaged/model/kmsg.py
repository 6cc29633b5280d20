"""Lines of a kernel's own log, as /dev/kmsg gives them to the agent and netconsole sends them.

Documentation/ABI/testing/dev-kmsg and Documentation/networking/netconsole.rst of the kernel's sources:
``priority,number,microseconds,flags;text``, in netconsole perhaps with the kernel's release before it, or text alone;
then lines of ``KEY=value``, which are left out.
"""

import re

_RECORD = re.compile(r"(?:[^,;\s]{1,80},)?([0-9]{1,6}),[0-9]{1,20},([0-9]{1,18}),[^;\n]{0,80};([^\n]*)", re.ASCII)
_DEBUG = 7  # <linux/kern_levels.h>


def lines(record: str) -> tuple[str, ...]:
    """As dmesg(1) shows it, ``[   12.345678] text``; nothing for debugging. Any text is taken."""
    match = _RECORD.match(record)
    if match is None:
        return tuple(line for line in record.splitlines() if line.strip())
    if int(match[1]) & 7 == _DEBUG:
        return ()
    seconds, micro = divmod(int(match[2]), 1_000_000)
    return (f"[{seconds:5}.{micro:06}] {match[3]}",)
