"""The shell script of ``imaged prepareclient``: a temporary rsync daemon on a golden client. Pure.

For machines that nobody may or can reach by ssh. POSIX sh and rsync, nothing else: it is printed, carried there in
whatever way, read, and run by root.
"""

import shlex
from ipaddress import IPv4Address, IPv6Address

from imaged.planning.capture_probe import PROBE
from imaged.planning.capture_rsync import DONE, FACTS, MODULE

DEFAULT_PORT = 8730


def script(server: IPv4Address | IPv6Address, port: int = DEFAULT_PORT, timeout: int = 3600) -> str:
    """Admits ``server`` only. Ends after ``timeout`` seconds, when the capture is done, and by Ctrl-C.

    rsyncd.conf(5): the module of the whole machine is read only and its rsync is chrooted to it.
    """
    return f"""#!/bin/sh
# A temporary rsync daemon, from which the image server {server} may capture this machine. Run it as root.
# It writes below one directory in /tmp, which goes with it, and changes nothing else.
set -eu
server={shlex.quote(str(server))} port={port} timeout={timeout}

[ "$(id -u)" = 0 ] || {{ echo "Run this as root: only root can read every file." >&2; exit 1; }}
command -v rsync >/dev/null || {{ echo "rsync is not installed here." >&2; exit 1; }}
umask 077
dir=$(mktemp -d /tmp/imaged-prepareclient.XXXXXX)
daemon=
finish() {{
  trap '' EXIT INT TERM HUP
  [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
  rm -rf "$dir"
}}
trap finish EXIT
trap 'exit 130' INT TERM HUP

mkdir "$dir/{FACTS}" "$dir/{DONE}"
cat > "$dir/probe" <<'END_OF_PROBE'
{PROBE}END_OF_PROBE
sh "$dir/probe" > "$dir/{FACTS}/probe" </dev/null

cat > "$dir/rsyncd.conf" <<END
pid file = $dir/pid
log file = $dir/log
lock file = $dir/lock
port = $port
use chroot = yes
read only = yes
list = no
uid = 0
gid = 0
hosts allow = $server
hosts deny = *
reverse lookup = no
max connections = 4
max verbosity = 2
numeric ids = yes
[{MODULE}]
  path = /
[{FACTS}]
  path = $dir/{FACTS}
[{DONE}]
  path = $dir/{DONE}
  pre-xfer exec = touch $dir/finished
END
: > "$dir/log"
rsync --daemon --no-detach --config="$dir/rsyncd.conf" </dev/null &
daemon=$!
sleep 1
kill -0 "$daemon" 2>/dev/null || {{ cat "$dir/log" >&2; echo "The daemon did not start." >&2; exit 1; }}

cat >&2 <<END
For at most $((timeout / 60)) minutes, $server can read EVERY file of this machine on TCP port $port, unencrypted:
password hashes and private keys as well. Nobody else is let in, nothing can be written. A firewall here must let
$server pass. On the server:

  imaged getimage rsync://$(uname -n):$port --image NAME

It ends by itself when that is done. Ctrl-C ends it now.
END

left=$timeout
while [ "$left" -gt 0 ]; do
  if [ -e "$dir/finished" ]; then echo "Captured. The daemon has ended." >&2; exit 0; fi
  kill -0 "$daemon" 2>/dev/null || {{ cat "$dir/log" >&2; echo "The daemon ended." >&2; exit 1; }}
  sleep 1
  left=$((left - 1))
done
echo "The time is up: nobody captured this machine to the end. The daemon has ended." >&2
exit 1
"""
