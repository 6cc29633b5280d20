"""The command line: finds a verb's file, runs it, and says errors. The one place that catches ImagedError."""

import gc
import importlib
import os
import sys
from pathlib import Path

import click

from imaged import __version__
from imaged.model.errors import ImagedError
from imaged.store.settings import DEFAULT_PATH

# Verb -> what it does, in the order in which a newcomer needs them. Each is imaged/cli/<verb>.py, loaded when called.
VERBS = {
    "buildimage": "Build a golden image from a recipe.",
    "getimage": "Capture a running machine as an image.",
    "importimage": "Make an image of an archive, a container image, a disk or a directory.",
    "prepareclient": "Print what lets getimage capture a machine without ssh.",
    "enter": "Edit an image: a shell or one command in a working copy.",
    "lsimage": "List images, their versions and channels.",
    "diffimage": "Show what is different between two versions.",
    "publish": "Let a channel mean another version.",
    "rollback": "Let a channel mean what it meant before.",
    "cpimage": "Copy a version to a new image.",
    "mvimage": "Rename an image.",
    "rmimage": "Remove versions or images.",
    "pruneimage": "Remove versions that nobody needs any more.",
    "verifyimage": "Read versions back and say what is damaged.",
    "importlayout": "Make a disk layout of SystemImager, OSCAR or sfdisk into one of imaged.",
    "mkramdisk": "Build the boot ramdisk and fetch the boot loaders.",
    "mkmedia": "Make a boot medium for machines that cannot boot from the network.",
    "serve": "Run the daemon: DHCP, TFTP, HTTP and rsync.",
    "doctor": "Say what is wrong with this server, and mend it.",
    "addnode": "Define a node.",
    "importnodes": "Define nodes of other programs' files.",
    "collect": "Name machines in the order in which they are powered on.",
    "assign": "Name one discovered machine by hand.",
    "approve": "Let machines become what the rules propose.",
    "lsmachine": "List machines without a name, and what the rules would make of them.",
    "showmachine": "Show what a machine has told of its hardware.",
    "ignore": "Never offer machines for a name.",
    "rmmachine": "Forget machines that were seen.",
    "setnode": "Change what is defined of nodes.",
    "replacenode": "Let another machine take a node's place.",
    "lsnode": "List nodes and discovered machines.",
    "shownode": "Show all that holds for a node, and where it was said.",
    "sethost": "Say how the own system of nodes shall be set up: network, identity, time zone.",
    "rmnode": "Forget nodes.",
    "addtoken": "Make a token for the HTTP API.",
    "lstoken": "List the tokens of the HTTP API.",
    "rmtoken": "Take tokens of the HTTP API away.",
    "adduser": "Make a user of the web page.",
    "lsuser": "List the users of the web page.",
    "passwd": "Give a user of the web page another password.",
    "rmuser": "Take users of the web page away.",
    "lsevent": "List what was changed, when and by whom.",
    "export": "Tell other programs of nodes: hosts, DNS, other DHCP servers.",
    "lskey": "List the keys of a node's encrypted devices.",
    "addgroup": "Define a group of nodes.",
    "lsgroup": "List groups and the nodes in them.",
    "setgroup": "Change what is said of a group's nodes.",
    "rmgroup": "Forget groups.",
    "lsoverride": "Show which layer each path of a node's overrides comes from.",
    "lsscript": "Show which scripts run on a node, and why.",
    "runscripts": "Run a state's scripts for nodes, and what they print on them.",
    "plan": "Print what an install of a node would do; touch nothing.",
    "boot": "Choose what nodes do at their next network boot.",
    "install": "Let nodes be installed, now with --power.",
    "power": "Switch nodes on and off through their BMCs.",
    "setpower": "Say what switches the power of nodes.",
    "monitor": "Show how nodes do: installs, updates, what has stalled or failed.",
    "log": "Print what a node's installs and updates have said.",
    "updateclient": "Bring running nodes into step with their image.",
    "verify": "Show how far running nodes have drifted.",
    "cexec": "Run a command on many nodes.",
    "cpush": "Copy a file to many nodes.",
    "cget": "Copy a file from many nodes.",
    "syncfiles": "Keep users, groups and listed files equal on nodes and in images.",
    "ckill": "Send a signal to processes on many nodes.",
    "crm": "Remove files on many nodes.",
    "cshutdown": "Switch many nodes off, or start them again.",
    "cpushimage": "C3's name for updateclient.",
    "cname": "Print the nodes at these positions.",
    "cnum": "Print the positions of these nodes.",
    "clist": "List groups and the nodes in them, as ranges.",
    "rehearse": "Install a node in a virtual machine, from power-on to ready.",
}


class _Verbs(click.Group):
    """Loads a verb's file only when that verb is called, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"imaged.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--settings",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_PATH,
    envvar="IMAGED_SETTINGS",
    show_default=True,
    help="The settings file (also from IMAGED_SETTINGS).",
)
@click.version_option(__version__)
@click.pass_context
def imaged(ctx: click.Context, path: Path) -> None:
    """Install sealed golden images on bare machines, and keep them in step."""
    from imaged.cli.context import Context  # as verbs: not for --help, and not before the collector knows

    ctx.obj = context = Context(path)
    ctx.call_on_close(context.close)


def main() -> None:
    """Entry point. Exit codes: 0 done, 2 bad input, 1 and 3 to 8 see model/errors.py, 130 interrupted."""
    # Neither what is loaded now nor a list of thousands of nodes is garbage, and both are a lot to look through.
    gc.set_threshold(100_000, 20, 20)
    try:
        code = imaged(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("imaged: interrupted", err=True)
        code = 130
    except KeyboardInterrupt:
        click.echo("imaged: interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ImagedError as error:
        click.echo(f"imaged: {error}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away, as `| head` does
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
