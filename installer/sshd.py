"""A person's way in by ssh: whose keys open the ramdisk, and the key by which it proves which machine it is."""

from contextlib import suppress
from pathlib import Path

from imaged.model.errors import ImagedError
from installer.process import Processes, Run
from installer.tree import replace

HOST_KEY = Path("/etc/dropbear/dropbear_ed25519_host_key")
_AUTHORIZED_KEYS = Path("/root/.ssh/authorized_keys")
_LOG = Path("/run/dropbear.log")
_KIND = "ed25519"


def host_key(run: Run, path: Path = HOST_KEY) -> str:
    """The public key, as known_hosts(5) has it behind the name; made when it is first asked for. Empty where none can
    be made: nothing hangs on it."""
    what = ("-y",) if path.exists() else ("-t", _KIND)
    with suppress(ImagedError):
        lines = run(("dropbearkey", *what, "-f", str(path)), timeout=30).output.splitlines()
        return next((" ".join(line.split()[:2]) for line in lines if line.startswith(f"ssh-{_KIND} ")), "")
    return ""


def admit(keys: tuple[str, ...]) -> None:
    """Let the admins in, should it be needed."""
    if keys:
        replace(_AUTHORIZED_KEYS, "".join(f"{key}\n" for key in keys).encode(), 0o600)
        _AUTHORIZED_KEYS.parent.chmod(0o700)


def open_to(keys: tuple[str, ...], processes: Processes) -> None:
    """Let the admins in from now on. Nothing hangs on it."""
    admit(keys)
    if keys:
        with suppress(ImagedError, OSError):
            # In the foreground: until it has left our session, what goes to the background is killed with its parent.
            processes.start((*argv(), "-F", "-E"), _LOG)


def argv(path: Path = HOST_KEY) -> tuple[str, ...]:
    """dropbear(8): by key only (-s), no forwarding (-j, -k). It proves itself by the key that the server knows, else by
    keys that it makes when they are first needed (-R)."""
    return ("dropbear", *(("-r", str(path)) if path.exists() else ("-R",)), "-s", "-j", "-k")
