"""``imaged doctor``: what is wrong with this server, and how it is mended."""

import json
from collections.abc import Sequence

import click

from imaged.cli.context import Context
from imaged.model.codec import to_plain
from imaged.model.errors import ImagedError
from imaged.planning.doctor.finding import ASKED_FOR, Finding, Level, told
from imaged.store.events import Events

_COLOURS = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.ERROR: "red"}
_FAULTY = 1
_WAIT = 4.0  # seconds: dnsmasq and ISC's server look first, for up to three, whether an address is in use


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Mend what can be mended without harm, and say each.")
@click.option("--yes", is_flag=True, help="With --repair: also remove what broken-off work left, without asking.")
@click.option("--no-probe", is_flag=True, help="Send nothing: do not look for other DHCP servers.")
@click.option(
    "--wait", type=click.FloatRange(0.1, 60), default=_WAIT, show_default=True, help="Seconds for DHCP servers."
)
@click.option("-v", "--verbose", is_flag=True, help="Show also what is well.")
@click.option("--json", "as_json", is_flag=True, help="For programs: everything.")
@click.pass_obj
def command(
    context: Context, repair: bool, yes: bool, no_probe: bool, wait: float, verbose: bool, as_json: bool
) -> int:  # fmt: skip
    """Look at everything that installs depend on: settings, network, ports, other DHCP servers, firewall, rights, room,
    database, images, ramdisk, clock, programs. Says what is wrong, where, and what helps.

    Works while the daemon runs and when it does not; without root it says what it could not look at. Nothing is changed
    without --repair. Ends with 1 where something does not work.
    """
    from imaged.doctor.examine import examine  # slow to import, and the help need not wait for it

    found = []
    for each in examine(context.path, 0.0 if no_probe else wait):
        found.append(each)
        if not as_json and (verbose or each.level is not Level.OK):
            _show(each)
    done = _repair(context, found, yes=yes, quiet=as_json) if repair else {}
    if as_json:
        click.echo(json.dumps(to_plain([told(each, done) for each in found]), indent=2))
    else:
        _sum_up(found, done, repair=repair)
    left = [each for each in found if each.level is Level.ERROR and done.get(str(each.mend)) != "done"]
    return _FAULTY if left else 0


def _show(finding: Finding) -> None:
    level = click.style(f"{finding.level.value:<8}", fg=_COLOURS[finding.level])
    lines = str(finding).splitlines()
    click.echo(f"{level} {finding.check:<9} {lines[0]}")
    for line in (*lines[1:], *finding.todo.splitlines()):
        click.echo(f"{'':<18} {line.strip()}")


def _repair(context: Context, found: Sequence[Finding], *, yes: bool, quiet: bool) -> dict[str, str]:
    """What became of each mend."""
    from imaged.doctor.mending import carry_out

    def say(line: str) -> None:
        click.echo(line, err=quiet)

    outcomes: dict[str, str] = {}
    for mend in dict.fromkeys(each.mend for each in found if each.mend):
        if isinstance(mend, ASKED_FOR) and not yes and not (not quiet and click.confirm(f"{mend}?", default=False)):
            outcomes[str(mend)] = "not done: nobody said yes"
            continue
        say(f"repair: {mend}")
        try:
            carry_out(mend, context.state, lambda line: say(f"  {line}"))
            outcomes[str(mend)] = "done"
            Events(context.desk.engine).tell("repaired", "server", {"done": str(mend)})
        except ImagedError as error:
            outcomes[str(mend)] = f"failed: {error}"
            say(f"  failed: {error}")
    return outcomes


def _sum_up(found: Sequence[Finding], done: dict[str, str], *, repair: bool) -> None:
    counts = {level: sum(each.level is level for each in found) for level in Level}
    bad = (Level.ERROR, Level.WARNING, Level.NOTE)
    words = ", ".join(f"{counts[each]} {each.value}{'s' * (counts[each] != 1)}" for each in bad)
    click.echo(f"{words}; {counts[Level.OK]} times all was well.")
    mendable = {each.mend for each in found if each.mend}
    if mendable and not repair:
        click.echo(f"`imaged doctor --repair` mends {len(mendable)} of these.")
    if repair:
        click.echo(f"{sum(each == 'done' for each in done.values())} of {len(mendable)} mended.")
