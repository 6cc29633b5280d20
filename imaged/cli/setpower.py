"""``imaged setpower``: say what switches the power of nodes."""

import sys
from pathlib import Path

import click

from imaged.admin import power, ranges
from imaged.cli.context import Context
from imaged.model.errors import BadInput
from imaged.model.power import WAKE_ON_LAN, PowerAccess, PowerAddress, PowerKind
from imaged.model.power import fingerprint as fingerprint_of
from imaged.model.power import password as password_of
from imaged.planning.rollout import equal_groups
from imaged.store.powers import Powers


@click.command("setpower")
@click.argument("name", metavar="NODES")
@click.argument("url", required=False)
@click.option("--group", is_flag=True, help="NODES is a group: of all its nodes, where nothing else is said.")
@click.option(
    "--password-file", "file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
    help="Its first line is the password; - reads it from stdin. Without it, it is asked for.",
)  # fmt: skip
@click.option("--fingerprint", default="", metavar="SHA256", help="Redfish: the only certificate that is taken.")
@click.option("--pin", is_flag=True, help="Redfish: take the certificate that each shows now, and no other ever after.")
@click.option("--no-verify", is_flag=True, help="Redfish: take any certificate. Whoever answers gets the password.")
@click.option("--clear", is_flag=True, help="Forget what was said.")
@click.pass_obj
def command(
    context: Context, name: str, url: str | None, group: bool, file: Path | None, fingerprint: str, pin: bool,
    no_verify: bool, clear: bool,
) -> None:  # fmt: skip
    """Say what switches the power of NODES (node01, node[01-64], @rack1), instead of what was said before.

    URL is ipmi://USER@HOST, redfish://USER@HOST[/redfish/v1/Systems/ID] or wol: for magic packets. {name} in it is the
    node's own name: ipmi://admin@{name}-bmc. Without URL: show what is known; passwords are never shown.
    """
    if sum((bool(fingerprint), pin, no_verify)) > 1:
        raise BadInput("--fingerprint, --pin and --no-verify exclude each other")
    if clear and (url or file):
        raise BadInput("forgets, and takes nothing", where="--clear")
    if not url and not clear:
        if file or fingerprint or pin or no_verify:
            raise BadInput("what does it belong to?", hint="Give the URL with it.")
        _show(context, name, group=group)
        return
    if pin and group:
        raise BadInput("nodes of a group have BMCs of their own", where="--pin", hint=f"Say it of @{name}.")
    access = None if clear else _access(url or "", file, fingerprint, verify=not no_verify)
    if group:
        power.define_group(context.desk, name, access)
        click.echo(f"group {name}: {_told(access, 'nothing is said')}")
        return
    names = power.define(context.desk, (name,), access, pin=pin)
    if not names:
        raise BadInput("there are no such nodes", where=name)
    if pin:
        _show(context, name, group=False)
    else:
        click.echo(f"{ranges.folded(names)}: {_told(access, 'as their groups say, else a magic packet')}")


def _access(url: str, file: Path | None, fingerprint: str, *, verify: bool) -> PowerAccess:
    address = PowerAddress.parse(url)
    if address.kind is PowerKind.WOL:
        if file:
            raise BadInput("a magic packet needs no password", where="--password-file")
        return WAKE_ON_LAN
    pinned = fingerprint_of(fingerprint) if fingerprint else ""
    return PowerAccess(address, password_of(_password(address, file), address.kind), pinned, verify)


def _password(address: PowerAddress, file: Path | None) -> str:
    if file:
        try:
            return sys.stdin.readline() if str(file) == "-" else file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot be read: {error}", where=str(file)) from None
    if not sys.stdin.isatty():
        raise BadInput("there is nobody to ask for the password", hint="Give --password-file FILE, or - for stdin.")
    typed: str = click.prompt(f"Password of {address}", hide_input=True, confirmation_prompt=True)
    return typed


def _show(context: Context, name: str, *, group: bool) -> None:
    if group:
        context.desk.groups.get(name)
        click.echo(f"group {name}: {_told(Powers(context.desk.engine).groups().get(name), 'nothing is said')}")
        return
    nodes = ranges.named(context.desk, (name,))
    known = power.accesses(context.desk, nodes)
    for text, names in equal_groups([(node.name, _told(known[node.name], "")) for node in nodes]):
        click.echo(f"{ranges.folded(names)}: {text}")


def _told(access: PowerAccess | None, nothing: str) -> str:
    if access is None:
        return nothing
    if access.address.kind is PowerKind.WOL:
        return "a magic packet"
    if access.fingerprint:
        return f"{access.address}, certificate {access.fingerprint}"
    return f"{access.address}{'' if access.verify else ', any certificate'}"
