"""The command line of a node: arguments read, faults said. Nothing decides here."""

import argparse
import contextlib
import io
import os
import platform
import sys
from typing import IO, Callable, ContextManager, Iterator, List, Optional, TextIO

from installer.node import client, reinstall, syncfiles, verify
from installer.node.errors import DONE, FAILED, BadUsage, Failed
from installer.node.update import Options

INTERRUPTED = 130  # 128 + SIGINT


def main(argv: Optional[List[str]] = None) -> int:
    """Exit code: 0 done and in step, 1 failed, 2 bad usage, 3 refused by a guard, 4 drift, 5 server not reached."""
    with _forgiving(sys.stdout, contextlib.redirect_stdout), _forgiving(sys.stderr, contextlib.redirect_stderr):
        return _main(argv)


def _main(argv: Optional[List[str]]) -> int:
    try:
        wanted = _parser().parse_args(argv)
        if not hasattr(wanted, "run"):
            raise BadUsage("which verb?", hint="imaged updateclient, verify, promote or reinstall; --help says more.")
        if os.geteuid() != 0:
            raise Failed("only root can compare and change a whole system", hint="Run it with sudo.")
        code: int = wanted.run(wanted)
        sys.stdout.flush()
        return code
    except Failed as error:
        sys.stderr.write("imaged: {}\n".format(error))
        return error.code
    except KeyboardInterrupt:
        sys.stderr.write("imaged: interrupted; run it again to go on\n")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader went away, as `| head` does
        return DONE
    except OSError as error:
        sys.stderr.write("imaged: {}\n".format(Failed.of(error)))
        return FAILED


@contextlib.contextmanager
def _forgiving(stream: TextIO, redirect: Callable[[IO[str]], ContextManager[IO[str]]]) -> Iterator[None]:
    """Have the stream write what its encoding cannot as ``\\xNN``: in an ASCII locale a path of somebody's must
    not end an update. (Python 3.6 cannot change a stream that is open.)"""
    if not hasattr(stream, "buffer"):
        yield
        return
    stream.flush()
    wrapped = io.TextIOWrapper(stream.buffer, stream.encoding, "backslashreplace", line_buffering=True)
    try:
        with redirect(wrapped):
            yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            wrapped.detach()  # flushes; without it, its end would close what is not its own


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="imaged", description="Keeps this node in step with its image.")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    verb = verbs.add_parser("updateclient", help="bring this node into step with its image")
    verb.set_defaults(run=_updateclient)
    verb.add_argument("-n", "--dry-run", action="store_true", help="print what would be done; touch nothing")
    verb.add_argument("--checksum", action="store_true", help="compare contents by hash, not only by what moved")
    verb.add_argument("--full", action="store_true", help="plain rsync of everything instead of what differs")
    verb.add_argument("--no-delete", action="store_true", help="leave what the image does not have")
    verb.add_argument("--no-bootloader", action="store_true", help="leave the boot loader and its menu alone")
    verb.add_argument("--directory", metavar="DIR", default="", help="only what is below DIR")
    verb.add_argument(
        "--reboot", choices=("never", "kexec", "cold"), default="never", help="if a new kernel waits for it"
    )
    verb.add_argument("--to", metavar="VERSION", type=_version, help="this version of the image, also an older one")
    verb.add_argument("--yes", action="store_true", help="also if a guard would stop it")
    _common(verb)
    verb = verbs.add_parser("verify", help="what is not as the image, its overrides and fixups have it")
    verb.set_defaults(run=_verify)
    verb.add_argument("--checksum", action="store_true", help="read every file back")
    verb.add_argument("--report", action="store_true", help="tell the server")
    _common(verb)
    verb = verbs.add_parser("promote", help="the kernel that runs is healthy: make it the default")
    verb.set_defaults(run=_promote)
    _common(verb)
    verb = verbs.add_parser("reinstall", help="leave this system for the installer; wipes what its layout says")
    verb.set_defaults(run=_reinstall)
    verb.add_argument("--by", choices=("auto", "kexec", "menu"), default="auto", help="kexec, or one entry of GRUB's")
    verb.add_argument("--static", action="store_true", help="with the address that this node has now, without DHCP")
    verb.add_argument("--yes", action="store_true", help="without it, nothing is done")
    _common(verb)
    verb = verbs.add_parser("syncfiles", help="what the server's `imaged syncfiles` calls; reads JSON")
    verb.set_defaults(run=_syncfiles)
    verb.add_argument("-n", "--dry-run", action="store_true", help="say what would be done; touch nothing")
    _common(verb)
    return parser


class _Parser(argparse.ArgumentParser):
    """Bad usage is a fault like others, with our exit code."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise BadUsage(message, hint="`{} --help` lists what there is.".format(self.prog))


def _common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.add_argument("--root", metavar="DIR", default="/", help="the tree to work on, instead of /")


def _version(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError("{!r} is no version number".format(text))
    return int(text)


def _updateclient(wanted: argparse.Namespace) -> int:
    if wanted.directory and not wanted.directory.startswith("/"):
        raise BadUsage("{!r} is not an absolute path".format(wanted.directory), where="--directory")
    options = Options(
        dry_run=wanted.dry_run,
        checksum=wanted.checksum,
        delete=not wanted.no_delete,
        bootloader=not wanted.no_bootloader,
        directory=os.fsencode(wanted.directory.strip("/")),
        confirmed=wanted.yes,
        full=wanted.full,
    )
    return client.updateclient(
        client.Wish(_root(wanted), options, wanted.to, wanted.reboot, wanted.json, _kernel(wanted))
    )


def _verify(wanted: argparse.Namespace) -> int:
    return verify.verify(_root(wanted), wanted.checksum, wanted.report, wanted.json)


def _promote(wanted: argparse.Namespace) -> int:
    return client.promote(_root(wanted), _kernel(wanted))


def _reinstall(wanted: argparse.Namespace) -> int:
    return reinstall.reinstall(_root(wanted), wanted.by, wanted.static, wanted.yes, lambda line: None)


def _syncfiles(wanted: argparse.Namespace) -> int:
    return syncfiles.syncfiles(_root(wanted), wanted.dry_run)


def _root(wanted: argparse.Namespace) -> str:
    root: str = os.path.realpath(wanted.root)
    if not os.path.isdir(root):
        raise BadUsage("is no directory", where=wanted.root)
    return root


def _kernel(wanted: argparse.Namespace) -> str:
    """The running kernel says nothing of a tree that is not what runs."""
    return platform.release() if _root(wanted) == "/" else ""
