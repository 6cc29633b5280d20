"""Who the node is: machine-id, host name, hosts, ssh host keys, and the secret it proves itself with."""

from imaged.model.host import Identity
from imaged.model.plan import KeepSecret, MakeLink, RestoreIdentity, RunInTarget, Step, WriteFile
from imaged.planning.fixups.target import Target

HOME = "/var/lib/imaged"
SECRET_PATH = f"{HOME}/secret"
MERGED = tuple(f"/etc/{name}" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid"))


def machine_identity(target: Target) -> tuple[Step, ...]:
    """A real machine-id, never an empty one.

    Debian 13's sshd-keygen.service has ConditionFirstBoot=yes and an empty machine-id is no first boot
    (machine-id(5)), so "truncate and hope" leaves a node without sshd.
    """
    if _golden(target):
        return ()
    write = WriteFile("/etc/machine-id", f"{target.machine_id}\n", "0444", "the node's own")
    if "/var/lib/dbus/machine-id" not in target.facts.files:
        return (write,)
    return (write, MakeLink("/var/lib/dbus/machine-id", "/etc/machine-id", "one identity, not two"))


def hostname(target: Target) -> tuple[Step, ...]:
    """hostname(5) and hosts(5). Debian's family names the host at 127.0.1.1 so that it resolves without a network.

    Where an image has further files with the name in them, they say it too: SUSE, mail of Debian, OpenRC of Gentoo.
    """
    name = target.node.name
    fqdn = f"{name}.{target.domain}" if target.domain else name
    golden = target.facts.texts.get("/etc/hostname", "").strip()
    lines = target.facts.texts.get("/etc/hosts", "").splitlines()
    kept = [
        line for line in (_without(line, golden) for line in lines if not _names_this_host(line)) if line is not None
    ]
    here = f"127.0.1.1 {fqdn} {name}" if target.domain else f"127.0.1.1 {name}"
    hosts = [*(kept or ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]), here]
    others = (("/etc/HOSTNAME", name), ("/etc/mailname", fqdn), ("/etc/conf.d/hostname", f'hostname="{name}"'))
    return (
        WriteFile("/etc/hostname", f"{name}\n", reason="the node's own"),
        WriteFile("/etc/hosts", "\n".join(hosts) + "\n", reason="the golden client's name out, the node's in"),
        *(WriteFile(path, f"{text}\n", reason="the node's own") for path, text in others if path in target.facts.files),
    )


def restore_identity(target: Target) -> tuple[Step, ...]:
    """After the golden client's keys are gone, before missing ones are made: who knows the node knows it again."""
    if "ssh-keygen" not in target.facts.commands or target.host.identity in (Identity.NEW, Identity.GOLDEN):
        return ()
    return (RestoreIdentity(),)


def ssh_host_keys(target: Target) -> tuple[Step, ...]:
    """Made here, in the image's tree by the image's ssh-keygen: Debian 12 and older never make missing keys at boot."""
    if "ssh-keygen" not in target.facts.commands:
        return ()
    return (RunInTarget(("ssh-keygen", "-A"), reason="the node's own ssh host keys"),)


def node_secret(_target: Target) -> tuple[Step, ...]:
    """What the installed system shows the server instead of its address."""
    return (KeepSecret(SECRET_PATH),)


def server_address(target: Target) -> tuple[Step, ...]:
    """Where the node asks for updates."""
    return (WriteFile(f"{HOME}/server", f"{target.server}\n", reason="where the node asks for updates"),)


def merge_bases(_target: Target) -> tuple[Step, ...]:
    """Users and groups as the image has them: what the next update compares the node's own changes with.

    Other users of the node must not read the copy of shadow, hence the modes. An image may lack any of the files, and
    find(1) runs cp(1) for none of those that are not there.
    """
    bases = f"{HOME}/base/etc"
    names = tuple(word for path in MERGED for word in ("-o", "-name", path.rpartition("/")[2]))[1:]
    copy = (
        "find",
        "/etc",
        "-maxdepth",
        "1",
        "-type",
        "f",
        "(",
        *names,
        ")",
        "-exec",
        "cp",
        "-p",
        "-t",
        bases,
        "{}",
        "+",
    )
    return (
        RunInTarget(("mkdir", "-p", bases), reason="what updates of this node need"),
        RunInTarget(("chmod", "0700", HOME, f"{HOME}/base", bases), reason="it holds secrets"),
        RunInTarget(copy, reason="users and groups are merged with these"),
    )


def _golden(target: Target) -> bool:
    return target.host.identity is Identity.GOLDEN


def _without(line: str, golden: str) -> str | None:
    """``line`` of hosts(5) without the golden client's name; None if it had no other. All else stays as it is."""
    said, mark, comment = line.partition("#")
    fields = said.split()
    short = golden.partition(".")[0]
    if (
        not short
        or short == "localhost"
        or len(fields) < 2
        or all(each.partition(".")[0] != short for each in fields[1:])
    ):
        return line
    names = [each for each in fields[1:] if each.partition(".")[0] != short]
    return " ".join([fields[0], *names, f"{mark}{comment}".strip()]).rstrip() if names else None


def _names_this_host(line: str) -> bool:
    return line.split("#")[0].split()[:1] == ["127.0.1.1"]
