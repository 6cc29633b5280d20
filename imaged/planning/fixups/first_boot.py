"""What makes the installed system report that it is up, for only then is a node ready, and ask for state scripts."""

from imaged.model.plan import MakeLink, Step, WriteFile
from imaged.planning.fixups.identity import SECRET_PATH
from imaged.planning.fixups.target import Target

_UNIT = """\
[Unit]
Description=Tell the imaged server that this node is up
Wants=network-online.target
After=network-online.target ssh.service sshd.service
ConditionPathExists={secret}

[Service]
Type=oneshot
ExecStart=/usr/lib/imaged/report-up {host} {port}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""

# bash speaks TCP itself, so that the smallest image needs neither curl nor Python for one request.
_SCRIPT = """\
#!/bin/bash
# Tells the imaged server at $1 port $2 that this node came up from its own disk.
set -eu
exec 3<>"/dev/tcp/$1/$2"
printf 'POST /v1/up HTTP/1.0\\r\\nHost: %s:%s\\r\\nAuthorization: Bearer %s\\r\\nContent-Length: 0\\r\\n\\r\\n' \\
    "$1" "$2" "$(cat {secret})" >&3
read -r -t 30 _ status _ <&3
case "$status" in
    2??)
        echo "reported to $1"
        # A kernel that an update brought has now proved itself.
        if [ -x /usr/sbin/imaged ]; then /usr/sbin/imaged promote || echo "the kernel was not promoted"; fi
        systemctl --no-block start imaged-state@ready.service || echo "the scripts of state/ready were not started"
        ;;
    4??) echo "the server refused: $status (this node was re-defined or removed)" ;;
    *) echo "the server answered $status"; exit 1 ;;
esac
"""


_SERVICE = """\
#!/sbin/openrc-run
description="Tells the imaged server that this node is up"
command=/usr/lib/imaged/report-up
command_args="{host} {port}"
command_background=true
pidfile=/run/imaged-up.pid

depend() {{
    need net
    after sshd
}}
"""

# Without bash, by BusyBox. Only words of the shell itself are given the secret: everybody sees a program's arguments.
_BUSYBOX_SCRIPT = """\
#!/bin/sh
# Tells the imaged server at $1 port $2 that this node came up from its own disk.
ask() {{
    printf 'POST /v1/up HTTP/1.0\\r\\nHost: %s:%s\\r\\nAuthorization: Bearer %s\\r\\nContent-Length: 0\\r\\n\\r\\n' \\
        "$1" "$2" "$(cat {secret})"
    sleep 10  # nc ends the connection when its input ends
}}
while :; do
    status=$(ask "$1" "$2" | nc -w 30 "$1" "$2" | head -n 1 | cut -d ' ' -f 2)
    case "$status" in
        2??)
            echo "reported to $1"
            # A kernel that an update brought has now proved itself.
            if [ -x /usr/sbin/imaged ]; then /usr/sbin/imaged promote || echo "the kernel was not promoted"; fi
            exec /usr/lib/imaged/run-state ready
            ;;
        4??) echo "the server refused: $status (this node was re-defined or removed)"; exit 0 ;;
    esac
    sleep 5
done
"""

# BusyBox' run-parts waits for each of them.
_DAILY = """\
#!/bin/sh
# Asks the imaged server what it wants of this node, within four hours.
(sleep $(($(od -An -N2 -tu2 /dev/urandom) % 14400)) && exec /usr/lib/imaged/run-state daily) > /dev/null 2>&1 &
"""


def report_up(target: Target) -> tuple[Step, ...]:
    """A service of ours, systemd's or OpenRC's; it waits for nobody and is retried until the server has answered."""
    host, _, port = target.server.removeprefix("http://").partition(":")
    if "systemctl" not in target.facts.commands and "/etc/runlevels/default" in target.facts.files:
        service = "/etc/init.d/imaged-up"
        return (
            WriteFile("/usr/lib/imaged/report-up", _BUSYBOX_SCRIPT.format(secret=SECRET_PATH), "0755", "first report"),
            WriteFile(service, _SERVICE.format(host=host, port=port or "80"), "0755", "first report"),
            MakeLink("/etc/runlevels/default/imaged-up", service, "enabled"),
            WriteFile("/etc/periodic/daily/imaged", _DAILY, "0755", "state scripts"),
        )
    unit, timer = "imaged-up.service", "imaged-daily.timer"
    return (
        WriteFile("/usr/lib/imaged/report-up", _SCRIPT.format(secret=SECRET_PATH), "0755", "first report"),
        WriteFile(f"/etc/systemd/system/{unit}", _UNIT.format(host=host, port=port or "80", secret=SECRET_PATH)),
        MakeLink(f"/etc/systemd/system/multi-user.target.wants/{unit}", f"/etc/systemd/system/{unit}", "enabled"),
        MakeLink(f"/etc/systemd/system/timers.target.wants/{timer}", f"/usr/lib/systemd/system/{timer}", "enabled"),
    )
