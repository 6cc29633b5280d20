"""An update as people live it, told in steps: edit the image, look, update, break a node, find it, mend it, go back.

What is run and how it must end is pure; ``play`` runs it in a rehearsal's network, by the verbs that people use.
"""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen
from ClusterShell.NodeSet import NodeSet

from imaged import process
from imaged.model.errors import CommandFailed
from imaged.rehearsal.rehearsal import Rehearsal

DRIFT = 9  # how `imaged verify` ends when a node has drifted

# Any image of Debian's family has all of these; nothing here needs a network.
EDIT = """\
echo 'Second edition.' >> /etc/motd
mkdir -p /opt/demo
echo 'echo hello from $(hostname)' > /opt/demo/hello
chmod 0755 /opt/demo/hello
rm -f /usr/bin/slabtop"""
BREAK = """\
echo 'alias ls=rm' >> /etc/profile
rm -f /usr/bin/free
chmod 0777 /usr/bin/uptime
echo stray > /usr/local/bin/stray"""


@frozen
class Verb:
    """``imaged WORDS`` on the server, which must end with ``code``."""

    title: str
    words: tuple[str, ...]
    code: int = 0

    def __str__(self) -> str:
        return shlex.join(("imaged", *self.words))


@frozen
class Login:
    """A line for the shell of ``node``, over ssh."""

    title: str
    node: str
    line: str

    def __str__(self) -> str:
        return shlex.join(("ssh", f"root@{self.node}", self.line))


Step = Verb | Login


@frozen
class Played:
    """A step that ended as it must, and the seconds it took."""

    step: Step
    seconds: float


def story(image: str, nodes: Sequence[str], key: Path) -> Iterator[Step]:
    """The steps for ``nodes``, which run version 1 of ``image``; ``key`` lets us in. Pure.

    The first node is broken; all of them end on version 1.
    """
    everyone, broken = str(NodeSet.fromlist(list(nodes))), nodes[0]

    def update(title: str, whom: str, *more: str) -> Verb:
        return Verb(title, ("updateclient", whom, "--ssh-key", str(key), *more))

    def verify(title: str, *more: str, code: int = 0) -> Verb:
        return Verb(title, ("verify", everyone, "--ssh-key", str(key), *more), code)

    yield Verb(
        "Change the image: a new version, and the channel means it from now on",
        ("enter", image, "--seal", "--channel", "stable", "--message", "second edition", "--", "sh", "-c", EDIT),
    )
    yield update("What would an update do?", everyone, "--dry-run")
    yield update("Update", everyone)
    yield verify("Are they in step?")
    yield update("Again: one small question each, and nothing to do", everyone)
    yield Login(f"Somebody breaks {broken}", broken, BREAK)
    yield verify("Who has drifted, and whose are the paths?", code=DRIFT)
    yield update(f"Repair {broken}", broken)
    yield verify("Are they in step again?")
    yield update("The new version was a mistake: everybody goes back", everyone, "--to", "1")
    yield verify("Are they as they were installed? This time every file is read", "--checksum")
    yield Verb("What the server knows of them", ("lsnode",))


def play(
    rehearsal: Rehearsal, steps: Sequence[Step], begins: Callable[[Step], None], says: Callable[[str], None]
) -> Iterator[Played]:
    """Run ``steps`` in their order, each line that they print handed to ``says``.

    Raises CommandFailed at the first that does not end as it must, KeyboardInterrupt when one was interrupted.
    """
    for step in steps:
        begins(step)
        began = time.monotonic()
        expected = step.code if isinstance(step, Verb) else 0
        argv = rehearsal.imaged(*step.words) if isinstance(step, Verb) else rehearsal.login(step.node, step.line)
        code = process.stream(argv, says, check=False)
        if code == 130:  # the terminal's Ctrl-C reached it before us
            raise KeyboardInterrupt
        if code != expected:
            raise CommandFailed(f"ended with {code} instead of {expected}", where=str(step))
        yield Played(step, time.monotonic() - began)
